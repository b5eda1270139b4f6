"""The control plane of the worker that owns the decisions: commands first, then the incident, then the world."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from msgspec import DecodeError, json

from alerts.aftermath import Aftermath
from alerts.decision import Decision
from alerts.gateway.ending import end
from alerts.gateway.wire import Command
from alerts.incident import Act
from alerts.obedience import Disobedience, not_obeyed
from streams.commander import Commander
from streams.compacted import read_compacted
from streams.gating import Gating
from streams.limiting import Limiting
from streams.metrics import Metrics
from streams.notifier import Notifier
from streams.noting import note_control, note_decision, note_limits
from streams.outlet import Outlet
from streams.records import RecordBatch

log = logging.getLogger(__name__)
_decisions = json.Decoder(Decision)
_acts = json.Decoder(Act)


class Control:
    """Started when this worker gets the decisions' partition, stopped when it loses it."""

    def __init__(
        self,
        commander: Commander,
        notifier: Notifier,
        metrics: Metrics,
        clock: Callable[[], float],
        outlet: Outlet,
    ) -> None:
        """`outlet` is what commands and incidents go out by; it is opened and closed here."""
        self.commander = commander
        self._outlet = outlet
        self.notifier = notifier
        self._metrics = metrics
        self._clock = clock
        self.limiting: Limiting | None = None
        self.gating: Gating | None = None
        self._telling: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()
        commander.on_disobedience = self.disobeyed
        commander.on_refusals = self.went_on

    async def start(self, client: Mapping[str, Any], incidents: str) -> None:
        """Take over the kill topic and the incidents: once nobody else can write there, read what was written."""
        await self._outlet.start()
        self.notifier.restore(await read_compacted(client, incidents))
        await self.commander.start()
        await self.notifier.reconcile(self.commander.orders)
        self._telling = asyncio.create_task(self.notifier.run())

    async def stop(self) -> None:
        """Let go of both, and of the limits."""
        if self.limiting is not None:
            self.limiting.stop()
        if self._telling is not None:
            await end([self._telling])
        await self.commander.stop()
        await self._outlet.stop()

    def note(self, now_s: float) -> None:
        """Tell the metrics where things stand."""
        note_control(self._metrics, self.commander, self.notifier.book, now_s)
        if self.limiting is not None:
            note_limits(self._metrics, *self.limiting.holdings())

    async def take(self, batch: RecordBatch) -> None:
        """Carry decisions out, one by one; returns when each is a command and a durable incident."""
        if self._telling is not None and self._telling.done():
            await self._telling
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            decision = _read(value, offset)
            if isinstance(decision, Act):
                await self.notifier.acted(decision)
            if not isinstance(decision, Decision):
                continue
            outcome = await self.commander.handle(decision)
            note_decision(self._metrics, decision, outcome, self._clock())
            await self.notifier.decided(decision, outcome, offset=offset)
            # Gateways may have been faster than the incident.
            self.commander.say(decision.scope)

    def covered(self, command: Command, text: str) -> None:
        """Note in the incident who obeys a command."""
        self._do_beside(self.notifier.covered(command.scope, command.order, text))

    def went_on(self, command: Command, after: Aftermath) -> None:
        """Note in the incident what was seen since a command."""
        self._do_beside(self.notifier.went_on(command.scope, command.order, after))

    def disobeyed(self, seen: Disobedience) -> None:
        """Open or bring up to date the incident of a kill that is not obeyed."""
        command = self.commander.orders.held(seen.scope)
        decision = not_obeyed(seen, command, self.commander.coverage, self._clock())
        if decision is not None and command is not None:
            self._metrics.calls_after_kill.labels(self._metrics.team(seen.team)).inc(seen.new_calls)
            self._do_beside(self.notifier.decided(decision))
            through = Aftermath(calls=seen.calls, spend_usd=seen.spend_usd, last_s=seen.last_began_s)
            self.went_on(command, through)

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _read(value: bytes | None, offset: int) -> Decision | Act | None:
    """Read a decision, or what somebody did to an incident on the page of whichever worker."""
    try:
        return _decisions.decode(value or b"")
    except DecodeError as error:
        with suppress(DecodeError):
            return _acts.decode(value or b"")
        log.error("Ignored a decision at offset %d that can't be read: %s", offset, error)
        return None
