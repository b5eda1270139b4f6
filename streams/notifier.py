"""Keeps incidents durable, publishes them, and has every sink told, without ever making a kill wait for one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from alerts.aftermath import Aftermath
from alerts.decision import Decision
from alerts.gateway.wire import Command, State
from alerts.incident import NO_COMMAND, Act, Incident, Outcome, decode_row, encode_row
from alerts.incidents import Book, Rules
from alerts.message import View
from alerts.notices import Telling
from alerts.observed import as_decision
from alerts.passing import tick
from alerts.published import encode_alert
from alerts.sink import Sink
from streams.courier import Counted, Courier, Posted, uncounted

TICK_S = 0.5

log = logging.getLogger(__name__)

Put = Callable[[str, str, bytes | None], Awaitable[None]]
"""Writes (topic, key, value) and returns when it is acknowledged."""


class Standing(Protocol):
    """The last word on each scope, as the kill topic says it."""

    def held(self, scope: str) -> Command | None:
        """Return the last command about a scope."""

    def active(self, now_s: float) -> Iterable[Command]:
        """Return what is in force."""


class Route(Struct, frozen=True):
    """A sink and how it wants to be told; `pace_s` is the least time between two of its messages."""

    sink: Sink
    telling: Telling = Telling()
    pace_s: float = 0.0
    posted: Posted | None = None


class Wiring(Struct, frozen=True, kw_only=True):
    """Where incidents are kept and published, and what a message links to."""

    incidents_topic: str = "brakeline.incidents"
    alerts_topic: str = "brakeline.alerts"
    runbook_url: str = ""
    dashboard_url: str = ""
    rules: Rules = Rules()


USUAL_WIRING = Wiring()


class Notifier:
    """The commander's incidents. What it is told returns when it is durable; what it tells happens beside.

    `put` may raise: then the caller must not go on as if the incident were kept, and may call again.
    `counted` is told of each (sink, outcome), where the outcome is sent, failed, limited or refused.
    """

    def __init__(
        self,
        put: Put,
        routes: Sequence[Route],
        *,
        now_s: Callable[[], float],
        wiring: Wiring = USUAL_WIRING,
        counted: Counted = uncounted,
    ) -> None:
        self.book = Book(wiring.rules)
        self._put = put
        self._now_s = now_s
        self._wiring = wiring
        self._dirty: set[str] = set()
        self._published: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self._counted = counted
        self.couriers = [self._courier(route) for route in routes]
        self._group: asyncio.TaskGroup | None = None
        self._errands: dict[Courier, asyncio.Task[None]] = {}

    def _courier(self, route: Route) -> Courier:
        return Courier(
            self,
            route.sink,
            telling=route.telling,
            now_s=self._now_s,
            pace_s=route.pace_s,
            counted=self._counted,
            posted=route.posted,
        )

    def rewire(self, wiring: Wiring, routes: Sequence[Route]) -> None:
        """Link messages as `wiring` says, and tell these sinks, from now on; errands under way are finished."""
        self._wiring = wiring
        known = {id(courier.sink): courier for courier in self.couriers}
        retired = [courier for courier in self.couriers if all(courier.sink is not route.sink for route in routes)]
        for courier in retired:
            courier.retire()
        self.couriers = []
        for route in routes:
            courier = known.get(id(route.sink)) or self._courier(route)
            courier.adapt(route.telling, route.pace_s, route.posted)
            self.couriers.append(courier)
            if self._group is not None and courier not in self._errands:
                ended = [self._errands[old] for old in retired if old.sink.name == courier.sink.name]
                self._errands[courier] = self._group.create_task(self._succeed(courier, ended))

    async def _succeed(self, courier: Courier, before: Sequence["asyncio.Task[None]"]) -> None:
        """Begin when whoever told that sink before is done: two at once would tell it twice."""
        await asyncio.gather(*before)
        await courier.run()

    def restore(self, rows: Mapping[str, bytes | None]) -> int:
        """Start from the rows of the incidents topic; return how many could not be read."""
        incidents, unreadable = [], 0
        for key, row in rows.items():
            try:
                incidents += [decode_row(row)] if row is not None else []
            except msgspec.DecodeError as error:
                unreadable += 1
                log.error("incident %s can't be read and is left alone: %s", key, error)
        self.book = Book(self._wiring.rules, incidents)
        self._published = {incident.id: incident.revision for incident in incidents}
        self._wake()
        return unreadable

    async def decided(self, decision: Decision, outcome: Outcome = NO_COMMAND, *, offset: int = -1) -> None:
        """Fold in a decision after its command was written (or refused); returns when its incident is durable.

        `offset` is the decision's own in its topic, so that a replay changes nothing.
        """
        await self.save(self.book.decided(decision, self._now_s(), outcome, offset=offset))

    async def reconcile(self, orders: Standing) -> None:
        """Catch up with the kill topic, to be called once it has been read.

        Somebody may have killed or released while no commander ran, or a commander may have died between
        a command and its incident.
        """
        now_s = self._now_s()
        known = [orders.held(i.scope) for i in self.book.incidents.values() if i.in_force or i.active]
        commands = {command.kill_id: command for command in (*orders.active(now_s), *known) if command is not None}
        changed = set[str]()
        for command in sorted(commands.values(), key=lambda command: command.order):
            if command.in_force(now_s) or command.state is State.RELEASED:
                changed |= self.book.observed(*as_decision(command), now_s)
        await self.save(changed)

    async def covered(self, scope: str, place: tuple[int, int], text: str) -> None:
        """Note which gateways obey the command at `place` (epoch, seq): "obeyed by 3 of 4 gateways in 180 ms"."""
        await self.save(self.book.covered(scope, place, text, self._now_s()))

    async def went_on(self, scope: str, place: tuple[int, int], after: Aftermath) -> None:
        """Note what was seen since the command at `place` (epoch, seq)."""
        await self.save(self.book.went_on(scope, place, after, self._now_s()))

    async def acted(self, act: Act) -> bool:
        """Apply what a person did; return whether it changed anything."""
        changed = self.book.acted(act, self._now_s())
        await self.save(changed)
        return bool(changed)

    async def tick(self) -> None:
        """Let time pass for the incidents."""
        await self.save(tick(self.book, self._now_s()))

    async def run(self) -> None:
        """Tick and tell until cancelled; raises what `put` raises."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._ticking())
                self._errands = {courier: group.create_task(courier.run()) for courier in self.couriers}
        finally:
            self._group = None
            await asyncio.gather(*(courier.close() for courier in self._errands))

    async def _ticking(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    def view(self, incident: Incident) -> View:
        """Return the incident with its members and links, as a sink shows it."""
        return View(
            incident=incident,
            members=tuple(self.book.members(incident.id)),
            runbook_url=self._wiring.runbook_url,
            dashboard_url=self._wiring.dashboard_url,
        )

    async def save(self, ids: Iterable[str]) -> None:
        """Publish and keep the latest state of these incidents; returns when both are acknowledged.

        One writer at a time: rows of an incident can't overtake one another, and whoever waited finds its
        rows written with the others'.
        """
        changed = set(ids)
        # Even who changed nothing waits: a replay must not be acked before the row it repeats.
        if not (changed or self._dirty or self._writing.locked()):
            return
        self._dirty |= changed
        if changed:
            self._wake()
        async with self._writing:
            batch, self._dirty = self._dirty, set()
            try:
                await self._write(batch)
            except BaseException:
                self._dirty |= batch
                raise

    async def _write(self, batch: Iterable[str]) -> None:
        """Publish before keeping: a crash between the two publishes again, and never not at all."""
        states = {name: self.book.incidents.get(name) for name in sorted(batch)}
        news = [
            incident
            for incident in states.values()
            if incident and self._published.get(incident.id) != incident.revision
        ]
        alerts = [(incident.id, encode_alert(self.view(incident))) for incident in news]
        rows = [(name, encode_row(incident) if incident else None) for name, incident in states.items()]
        await self._put_all(self._wiring.alerts_topic, alerts)
        await self._put_all(self._wiring.incidents_topic, rows)
        self._published.update((incident.id, incident.revision) for incident in news)
        for name, incident in states.items():
            if incident is None:
                self._published.pop(name, None)

    async def _put_all(self, topic: str, records: Sequence[tuple[str, bytes | None]]) -> None:
        await asyncio.gather(*(self._put(topic, key, value) for key, value in records))

    def _wake(self) -> None:
        for courier in self.couriers:
            courier.news.set()
