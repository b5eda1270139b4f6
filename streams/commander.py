"""The one writer of the kill topic: orders, heartbeats, and who obeys them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import count

from aiokafka import AIOKafkaConsumer
from msgspec import DecodeError

from alerts.aftermath import Aftermath, Refusals
from alerts.commands import Ordered, Orders, RefusedError
from alerts.coverage import Coverage, Order
from alerts.decision import Decision
from alerts.gateway.asking import Word, decode_word
from alerts.gateway.ending import end
from alerts.gateway.keys import Trust
from alerts.gateway.wire import HEARTBEAT_KEY, Ack, Command, WireError, decode_ack
from alerts.incident import Outcome
from alerts.obedience import Disobedience, decode_disobedience
from streams.fenced_outlet import OutrankedError
from streams.kill_topic import View, Wiring
from streams.outlet import Message, Outlet

HEARTBEAT_S = 2.0
REFUSALS_EVERY = 5
"""Heartbeats between two words about refused calls."""
TOLD_AT_ONCE = 100

log = logging.getLogger(__name__)


class Commander:
    """Owns the kill topic while it owns the partition of the decisions.

    `on_coverage(command, text)` is called when it changes who obeys a command in force, `clock` returns Unix seconds.
    """

    def __init__(
        self,
        wiring: Wiring,
        trust: Trust,
        orders: Orders,
        outlet: Outlet,
        clock: Callable[[], float],
        on_coverage: Callable[[Command, str], None],
    ) -> None:
        self.orders = orders
        self.coverage = Coverage()
        self._refusals = Refusals()
        self.view = View(wiring, trust, orders, clock)
        self._wiring = wiring
        self._outlet = outlet
        self._clock = clock
        self._on_coverage = on_coverage
        self._commands: dict[str, Command] = {}
        self.on_disobedience: Callable[[Disobedience], None] = lambda _: None
        """Told of what a worker saw of a scope that it knows to be stopped."""
        self.on_refusals: Callable[[Command, Aftermath], None] = lambda _command, _after: None
        """Told of what the gateways have refused since a command."""
        self.on_word: Callable[[Word], None] = lambda _: None
        """Told of what a gateway says of approvals."""
        self.on_ack: Callable[[Ack], None] = lambda _: None
        self.rules = ""  # The limits' digest, for heartbeats to name.
        self._told: dict[str, str] = {}
        self._late: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        # A heartbeat's digest must stand on the topic where the book stood when it was made.
        self._writing = asyncio.Lock()
        self.failure: BaseException | None = None
        self.beat_at_s = 0.0

    async def start(self) -> None:
        """Read the topic to its end, take over, and say so in a heartbeat."""
        self.view.on_command = lambda command: self._follow(command, self.view.offset)
        await self.view.start()
        self.view.rival = ""
        self.orders.take_over()
        await self._beat()
        self._tasks = [asyncio.create_task(step()) for step in (self._tail, self._keep_beating, self._hear)]
        for task in self._tasks:
            task.add_done_callback(self.note_failure)

    async def stop(self) -> None:
        """Stop writing and reading."""
        await end(self._tasks)
        await self.view.stop()

    def note_failure(self, task: asyncio.Task[None]) -> None:
        """Take in that a task of the control plane is over: nothing is commanded any more if it failed."""
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
            log.error("The commander failed: %s", self.failure)

    async def handle(self, decision: Decision) -> Outcome:
        """Turn a decision into an acknowledged command, or say why not.

        Raises UndeliveredError when the command can't be written: the decision has to be read again.
        """
        if self.failure is not None:
            raise self.failure
        async with self._writing:
            try:
                ordered = self.orders.order(decision, self._clock())
            except (RefusedError, WireError) as error:
                log.warning("Refused: %s", error)
                return Outcome(refused=str(error))
            if ordered is None:
                return Outcome()
            await self._write(ordered)
        ends_s, command = ordered.command.ends_s, ordered.command
        return Outcome(epoch=command.epoch, seq=command.seq, expires_s=None if ends_s == float("inf") else ends_s)

    async def _write(self, ordered: Ordered) -> None:
        command = ordered.command
        record = Message(self._wiring.kills, command.scope.encode(), ordered.value, 0)
        offsets = await self._outlet.send_placed([record])
        self.orders.confirm(ordered, self._clock())
        self._follow(command, offsets[0])

    def _follow(self, command: Command, offset: int) -> None:
        before = self._commands.get(command.scope)
        if before is None or before.order < command.order:
            self._commands[command.scope] = command
            self._told.pop(command.scope, None)
            self.coverage.watch(command.kill_id, Order(offset, command.issued_at))

    async def _beat(self) -> None:
        async with self._writing:
            now_s = self._clock()
            repairs = self.orders.repairs(now_s)
            if repairs:
                log.error("The kill topic was tampered with: writing %d commands again", len(repairs))
            records = [*repairs.items(), (HEARTBEAT_KEY, self.orders.heartbeat(now_s, self.rules))]
            await self._outlet.send([Message(self._wiring.kills, key.encode(), value, 0) for key, value in records])
        self.beat_at_s = now_s

    async def _keep_beating(self) -> None:
        for beat in count(1):
            await asyncio.sleep(HEARTBEAT_S)
            await self._beat()
            if beat % REFUSALS_EVERY == 0:
                self._tell_refusals()
            # Silence is news too: a gateway that has gone stale since says nothing of it.
            names, self._late = self._late.union(self.coverage.uncovered(self._clock())), set()
            self._tell(names)

    async def _tail(self) -> None:
        while True:
            if await self.view.poll(1000):
                if self.view.rival:
                    raise OutrankedError(f"{self.view.rival} commands now, with epoch {self.orders.epoch}")
                self.orders.take_over()
                log.warning("Another writer had begun epoch %d: taking over", self.orders.epoch - 1)
                await self._beat()

    async def _hear(self) -> None:
        async for value in tail_values(self._wiring, self._wiring.acks):
            try:
                ack = decode_ack(value)
            except WireError as error:
                self._hear_otherwise(value, error)
                continue
            if ack.env == self.orders.env:
                self.on_ack(ack)
                self._refusals.report(ack)
                names = self.coverage.report(ack)
                # A gateway that is new has read everything at once: that can wait for the next beat.
                self._tell(names) if len(names) <= TOLD_AT_ONCE else self._late.update(names)

    def _hear_otherwise(self, value: bytes, error: WireError) -> None:
        """Take in what is no ack: disobedience that a worker saw, or a gateway's word about approvals."""
        try:
            self.on_disobedience(decode_disobedience(value))
            return
        except DecodeError:
            pass
        try:
            word = decode_word(value)
        except DecodeError:
            log.warning("Ignored an ack: %s", error)
            return
        if word.env == self.orders.env:
            self.on_word(word)

    def unconfirmed(self, now_s: float) -> int:
        """Count the commands in force that some gateway does not obey, as far as is known."""
        names = set(self.coverage.uncovered(now_s))
        return sum(command.kill_id in names and command.in_force(now_s) for command in self._commands.values())

    def say(self, scope: str) -> None:
        """Say again who obeys the last command about a scope."""
        self._told.pop(scope, None)
        if scope in self._commands:
            self._tell([self._commands[scope].kill_id])

    def _tell_refusals(self) -> None:
        now_s = self._clock()
        for name, after in self._refusals.news().items():
            command = self._commands.get(name.rpartition("@")[0])
            if command is not None and command.kill_id == name and command.in_force(now_s):
                self.on_refusals(command, after)

    def _tell(self, names: Iterable[str]) -> None:
        now_s = self._clock()
        for name in names:
            command = self._commands.get(name.rpartition("@")[0])
            if command is None or command.kill_id != name or not command.in_force(now_s):
                continue
            text = self.coverage.text(name, now_s)
            if self.coverage.gateways and self._told.get(command.scope) != text:
                self._told[command.scope] = text
                self._on_coverage(command, text)


async def tail_values(wiring: Wiring, topic: str) -> AsyncIterator[bytes]:
    """Yield the values written to a topic from now on, and the last minute's."""
    consumer = AIOKafkaConsumer(
        topic, enable_auto_commit=False, auto_offset_reset="latest",
        fetch_max_wait_ms=50, **wiring.client,
    )  # fmt: skip
    await consumer.start()
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    if record.value is not None:
                        yield record.value
    finally:
        await consumer.stop()


async def order_directly(
    wiring: Wiring, trust: Trust, orders: Orders, decision: Decision, clock: Callable[[], float]
) -> Ordered | None:
    """Be the commander for one command, while the service is down.

    Raises RefusedError when the command may not be given, UndeliveredError when it can't be written.
    """
    view = View(wiring, trust, orders, clock)
    await view.start()
    try:
        orders.take_over()
        ordered = orders.order(decision, clock())
        if ordered is not None:
            async with Outlet(wiring.client) as outlet:
                await outlet.send([Message(wiring.kills, ordered.command.scope.encode(), ordered.value, 0)])
                orders.confirm(ordered, clock())
                if orders.can_beat:
                    beat = orders.heartbeat(clock())
                    await outlet.send([Message(wiring.kills, HEARTBEAT_KEY.encode(), beat, 0)])
        return ordered
    finally:
        await view.stop()
