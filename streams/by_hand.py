"""What a person orders from the command line, with or without the service, and what is in force."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct
from msgspec.json import encode

from alerts.approving import may_not
from alerts.commands import Orders, RefusedError
from alerts.coverage import Coverage, Order
from alerts.decision import Action, Decision, incident_id
from alerts.gateway.asking import Use
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.wire import Ack, Command, WireError, decode_ack, split_scope
from streams import audit
from streams.assembly import keys_of, trust_file
from streams.clocks import Clocks, measure
from streams.commander import order_directly
from streams.kill_topic import BY_HAND, View, Wiring
from streams.outlet import Message, Outlet, UndeliveredError
from streams.settings import Settings

ANSWER_S = 15.0
AUDIT_S = 5.0
ACKS_READ = 2_000

log = logging.getLogger(__name__)


class NoKeysError(Exception):
    """There is no trust file where the settings say: nothing here could be believed or signed."""


class UnansweredError(Exception):
    """The service took a decision and gave no answer in time."""


class Standing(Struct, frozen=True):
    """What the kill topic and the gateways say at one moment."""

    orders: Orders
    coverage: Coverage
    heartbeat_age_s: float | None
    """Since the commander's last heartbeat; None if there has been none."""
    is_served: bool
    bad_records: int


class Hand:
    """One visit to the kill topic. `clock` returns Unix seconds."""

    def __init__(self, settings: Settings, clock: Any = time.time) -> None:
        if not trust_file(settings).exists():
            raise NoKeysError(
                f"no keys: {trust_file(settings)} does not exist; run `brakeline keys` or pass the right --config"
            )
        keys, trust = keys_of(settings)
        self._keys: Mapping[Role, SigningKey] = keys
        self._trust: Trust = trust
        self._settings = settings
        self._clock = clock
        topics = settings.topics
        self._decisions = topics.named("decisions")
        self._audit_topic = topics.named("audit")
        self._wiring = Wiring(settings.kafka.client_kwargs(), topics.named("kills"), topics.named("acks"))

    def _orders(self) -> Orders:
        writer = f"{BY_HAND}{socket.gethostname()}-{os.getpid()}"
        return Orders(self._settings.keys.env, writer, self._keys)

    async def look(self) -> Standing:
        """Read the kill topic to its end, and the gateways' latest reports."""
        coverage = Coverage()
        view = View(self._wiring, self._trust, self._orders())
        view.on_command = lambda command: coverage.watch(command.kill_id, Order(view.offset, command.issued_at))
        try:
            await view.start()
        finally:
            await view.stop()
        for ack in await self._acks():
            coverage.report(ack)
        now_s = self._clock()
        beat = view.heartbeat
        age_s = None if beat is None else max(0.0, now_s - beat.issued_at)
        return Standing(view.orders, coverage, age_s, _is_served(view, now_s), view.bad_records)

    async def _acks(self) -> list[Ack]:
        """Return the gateways' reports among the topic's latest records, oldest first."""
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._wiring.client)
        partition = TopicPartition(self._wiring.acks, 0)
        found = []
        try:
            await consumer.start()
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            first = (await consumer.beginning_offsets([partition]))[partition]
            consumer.seek(partition, max(first, end - ACKS_READ))
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [ack for record in records if (ack := _ack(record.value)) is not None]
        finally:
            await consumer.stop()
        return [ack for ack in found if ack.env == self._settings.keys.env]

    async def clocks(self) -> Clocks:
        """Compare the clocks of whoever speaks; takes some seconds."""
        return await measure(self._wiring, self._trust, self._settings.keys.env, self._clock)

    async def order(self, decision: Decision) -> Command:
        """Have a decision carried out: by the service if one is at work, else by this process.

        Raises RefusedError when it may not be, and UndeliveredError when it can't be written.
        """
        split_scope(decision.scope)
        try:
            command = await self._ordered(decision)
        except RefusedError as error:
            await self._audit(decision, f"refused: {error}")
            raise
        await self._audit(decision, "accepted")
        return command

    async def _audit(self, decision: Decision, outcome: str) -> None:
        """Note it, unless that can't be done: what was ordered counts all the same."""
        line = audit.of_hand(decision, outcome, self._clock())
        try:
            async with Outlet(self._wiring.client, AUDIT_S) as outlet:
                await audit.note(outlet, self._audit_topic, line)
        except (UndeliveredError, KafkaError) as error:
            log.warning("Not written to the audit: %s", error)

    async def _ordered(self, decision: Decision) -> Command:
        view = View(self._wiring, self._trust, self._orders())
        try:
            await view.start()
            answer = await self._ask_service(view, decision) if _is_served(view, self._clock()) else None
        finally:
            await view.stop()
        if answer is not None:
            return answer
        ordered = await order_directly(self._wiring, self._trust, self._orders(), decision, self._clock)
        if ordered is None:
            raise RefusedError(f"{decision.scope} is {_as_it_is(view.orders.held(decision.scope))} already")
        return ordered.command

    async def _ask_service(self, view: View, decision: Decision) -> Command | None:
        """Hand the decision over and wait for its command; None if the service has gone meanwhile.

        The decision stays in its topic: a service that comes back finds it carried out, and does nothing more.
        """
        before = view.orders.held(decision.scope)
        refuse_stale(decision, before, self._clock())
        async with Outlet(self._wiring.client) as outlet:
            await outlet.send([Message(self._decisions, decision.scope.encode(), encode(decision), 0)])
        until_s = self._clock() + ANSWER_S
        while self._clock() < until_s and _is_served(view, self._clock()):
            await view.poll(200)
            now = view.orders.held(decision.scope)
            if now is not None and (before is None or now.order > before.order):
                return now
        if not _is_served(view, self._clock()):
            return None
        raise UnansweredError(
            f"the service has it, and did not carry it out within {ANSWER_S:.0f} s: its log says why "
            f"({decision.scope} is {_as_it_is(before)})"
        )


def _is_served(view: View, now_s: float) -> bool:
    beat = view.heartbeat
    return beat is not None and not beat.writer.startswith(BY_HAND) and view.commander_is_live(now_s)


def refuse_stale(decision: Decision, held: Command | None, now_s: float) -> None:
    """Refuse a release of what isn't in force (any more), before the service is bothered with it."""
    refused = may_not(decision, held, now_s)
    if refused:
        raise RefusedError(f"{decision.scope} {refused}")
    if decision.action is not Action.RELEASE:
        return
    if held is None or not held.in_force(now_s):
        raise RefusedError(f"{decision.scope} can't be released: nothing is in force")
    if decision.releases_seq is not None and decision.releases_seq != held.seq:
        raise RefusedError(f"{decision.scope}: seq {held.seq} is in force, not {decision.releases_seq}; look again")


def _as_it_is(held: Command | None) -> str:
    return "untouched" if held is None else str(held.state)


def _ack(value: bytes | None) -> Ack | None:
    try:
        return None if value is None else decode_ack(value)
    except WireError:
        return None


def decision_by_hand(
    scope: str,
    action: Action,
    reason: str,
    actor: str,
    now_s: float,
    *,
    for_s: float | None = None,
    seq: int | None = None,
    planned: bool = False,
    use: Use | None = None,
) -> Decision:
    """Return the decision of a person; `for_s` is how long it holds (None: until it is released)."""
    return Decision(
        at_s=now_s,
        scope=scope,
        action=action,
        reason=reason,
        incident_id=incident_id(scope, actor, now_s),
        actor=actor,
        window_start_s=now_s,
        expires_s=None if for_s is None else now_s + for_s,
        releases_seq=seq,
        planned=planned,
        use=use,
    )


def order(settings: Settings, decision: Decision) -> Command:
    """Have a decision carried out; see `Hand.order`."""
    return asyncio.run(Hand(settings).order(decision))


def look(settings: Settings) -> Standing:
    """Return what is in force; see `Hand.look`."""
    return asyncio.run(Hand(settings).look())
