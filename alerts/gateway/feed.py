"""Keeps a guard up to date from Kafka, without a consumer group, and reports what it obeys and uses."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from .asking import encode_word
from .denied import Denied
from .ending import end
from .guard import Guard, Kind
from .obstacle import cause
from .storage import load, save
from .tail import Tail
from .wire import HEARTBEAT_KEY, STOPPED, Ack, WireError, encode_ack

ACK_EVERY_S = 2.0
ACK_SOON_S = 0.2
"""How often what is used of the limits is looked at, and saved."""

log = logging.getLogger(__name__)


class FeedSettings(Struct, frozen=True, kw_only=True):
    """Where the commands come from. `client` are the arguments of any aiokafka client: bootstrap, security.

    `gateway_id` must be this process' own, and stay over a restart: its shares of the limits go by it.
    """

    gateway_id: str
    env: str
    client: Mapping[str, Any]
    kills_topic: str = "brakeline.kills"
    acks_topic: str = "brakeline.acks"
    limits_topic: str = "brakeline.limits"
    snapshot: Path | None = None
    adapter: str = ""
    events_topic: str = ""
    """Where usage is reported; empty if it isn't."""
    prompt_key: bytes = b""
    """Makes a keyed hash of each prompt; empty if nothing of it shall be reported."""


class Feed:
    """Runs in the event loop that started it. Whoever asks the guard from another thread holds `lock`.

    A broker that can't be reached is retried for ever: what is known stays in force meanwhile.
    """

    def __init__(self, guard: Guard, settings: FeedSettings, clock: Callable[[], float] = time.time) -> None:
        self.guard = guard
        self.lock = threading.Lock()
        self.offset = -1
        self.denied = Denied()
        self.acks_sent = 0
        self._settings = settings
        self._clock = clock
        self._latest = (0, 0)
        self._changed = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._ready = asyncio.Event()
        self._saving: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._last_use: dict[str, dict[str, float]] = {}
        self._said = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        guard.budget.gateway = guard.approvals.gateway = settings.gateway_id
        client = settings.client
        self._kills = Tail(client, settings.kills_topic, self._take, on_start=guard.begin_sync, on_end=guard.reach_end)
        self._limits = Tail(client, settings.limits_topic, self._take_rules)

    @property
    def connected(self) -> bool:
        """Whether the kill topic is being read."""
        return self._kills.connected

    @property
    def trouble(self) -> str:
        """Say why what is in force can't be read; empty if it can. Without limits their topic isn't needed."""
        if self._kills.trouble or not self.guard.watch.rules_missing:
            return self._kills.trouble
        return self._limits.trouble and f"limits are in force and can't be read: {self._limits.trouble}"

    async def start(self) -> None:
        """Load the snapshot and begin to read; returns at once, see `wait_ready`."""
        self._loop = asyncio.get_running_loop()
        await self._restore()
        steps = [self._kills.run, self._limits.run, self._keep_reporting, self._keep_watching_use]
        if self._settings.snapshot is not None:
            steps.append(self._keep_saving)
        self._tasks = [asyncio.create_task(step()) for step in steps]

    async def stop(self) -> None:
        """Stop reading and reporting, and save what isn't yet."""
        await end(self._tasks)
        if self._saving is not None:
            await self._saving
        if self._settings.snapshot is not None and self._unsaved.is_set():
            self._save(self._settings.snapshot, self.guard.snapshot())
        if self._used_file is not None and self.guard.budget.active:
            self._save(self._used_file, self.guard.budget.used(self._clock()))

    def wake(self) -> None:
        """Report soon, with what is to be said of approvals; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until everything in force is known; False if it took longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        return self._ready.is_set()

    @property
    def _used_file(self) -> Path | None:
        snapshot = self._settings.snapshot
        return None if snapshot is None else snapshot.with_name(snapshot.name + ".used")

    async def _restore(self) -> None:
        for path, restore in ((self._settings.snapshot, self._restore_records), (self._used_file, self._restore_used)):
            try:
                content = await asyncio.to_thread(load, path) if path else None
                if content is not None:
                    restore(content)
            except (OSError, WireError) as error:
                log.error("Starting without %s: %s", path, error)

    def _restore_records(self, content: bytes) -> None:
        count = self.guard.restore(content, self._clock())
        log.info("Restored %d commands from %s", count, self._settings.snapshot)

    def _restore_used(self, content: bytes) -> None:
        self.guard.restore_used(content)

    def _take(self, records: Sequence[Any]) -> None:
        now_s = self._clock()
        beats = [record.offset for record in records if record.key == HEARTBEAT_KEY.encode()]
        for record in records:
            self.offset = record.offset
            # A log full of old heartbeats must not delay the start: the last of a batch says it all.
            if beats and record.offset in beats and record.offset != beats[-1]:
                continue
            key = (record.key or b"").decode("utf-8", "replace")
            with self.lock:
                outcome = self.guard.apply(key, record.value, now_s)
            if outcome.kind is Kind.REFUSED:
                log.warning("Refused the record at offset %d of the kill topic: %s", record.offset, outcome.why)
            elif outcome.kind is Kind.COMMAND and outcome.command is not None:
                self._latest = outcome.command.order
                self._changed.set()
                self._unsaved.set()
        self._look_ready(now_s)

    def _take_rules(self, records: Sequence[Any]) -> None:
        now_s = self._clock()
        for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            with self.lock:
                outcome = self.guard.apply_rules(key, record.value, now_s)
            if outcome.kind is Kind.REFUSED:
                log.warning("Refused the record at offset %d of the limits topic: %s", record.offset, outcome.why)
            elif outcome.kind is Kind.RULES:
                self._changed.set()
                self._unsaved.set()
        self._look_ready(now_s)

    def _look_ready(self, now_s: float) -> None:
        if not self._ready.is_set() and self.guard.ready(now_s):
            self._ready.set()
            self._changed.set()
            self._unsaved.set()

    async def _keep_saving(self) -> None:
        assert self._settings.snapshot is not None
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            if not self.guard.can_vouch:
                continue
            # Shielded: a thread can't be cancelled, and whoever starts next reads what it writes.
            saving = asyncio.to_thread(self._save, self._settings.snapshot, self.guard.snapshot())
            self._saving = asyncio.ensure_future(saving)
            await asyncio.shield(self._saving)

    async def _keep_watching_use(self) -> None:
        """Report use as it grows, so that shares follow it, and save it: it has to outlive this process."""
        budget, seen, pause_s = self.guard.budget, -1, ACK_SOON_S
        while True:
            await asyncio.sleep(pause_s)
            self._say_trouble()
            if not budget.active or budget.changes == seen:
                continue
            seen, now_s, begun_s = budget.changes, self._clock(), time.perf_counter()
            with self.lock:
                _, use = budget.report(now_s)
                content = budget.used(now_s) if self._used_file is not None else b""
            # A hundred thousand accounts take a while, during which no call is checked.
            pause_s = max(ACK_SOON_S, 20 * (time.perf_counter() - begun_s))
            if use != self._last_use:
                self._changed.set()
            if self._used_file is not None:
                await asyncio.to_thread(self._save, self._used_file, content)

    def _say_trouble(self) -> None:
        if self.trouble != self._said:
            self._said = self.trouble
            (log.error if self._said else log.info)("%s", self._said or "What is in force can be read")

    def _save(self, path: Path, content: bytes) -> None:
        try:
            save(path, content)
        except OSError as error:
            log.error("%s can't be written, a restart without Kafka would forget: %s", path, error)

    async def _keep_reporting(self) -> None:
        while True:
            # Reports grant nothing and must not hold anything up: no idempotence, no retries to wait for.
            producer = AIOKafkaProducer(acks=1, linger_ms=0, **self._settings.client)
            try:
                await producer.start()
                await self._report_to(producer)
            except (KafkaError, OSError) as error:
                log.warning("Can't report what is obeyed: %s", await cause(self._settings.client, error))
            finally:
                with suppress(KafkaError, OSError):
                    await producer.stop()
            await asyncio.sleep(ACK_EVERY_S)

    async def _report_to(self, producer: AIOKafkaProducer) -> None:
        topic = self._settings.acks_topic
        try:
            while True:
                self._changed.clear()
                with self.lock:
                    words = self.guard.approvals.drain()
                for word in words:
                    await producer.send(topic, encode_word(word), partition=0)
                await producer.send_and_wait(topic, encode_ack(self.ack()), partition=0)
                self.acks_sent += 1
                # Not wait_for: before Python 3.12 it can swallow the cancellation that stops us.
                with suppress(TimeoutError):
                    async with asyncio.timeout(ACK_EVERY_S):
                        await self._changed.wait()
        except asyncio.CancelledError:
            # Nobody shall be called for a gateway that was meant to stop, and its shares are free for others.
            await producer.send(topic, encode_ack(self.ack(STOPPED)), partition=0)
            raise

    def ack(self, state: str = "") -> Ack:
        """Return the report that is due now."""
        now_s = self._clock()
        epoch, seq = self._latest
        with self.lock:
            shares, self._last_use = self.guard.budget.report(now_s, whole=state == STOPPED)
            denied = self.denied.lately(now_s)
        return Ack(
            gateway=self._settings.gateway_id,
            env=self._settings.env,
            at=now_s,
            state=state or self.guard.health(now_s),
            offset=self.offset,
            epoch=epoch,
            seq=seq,
            active=len(self.guard.book.active),
            refused_records=self.guard.watch.alarms,
            denied_calls=self.denied.calls,
            denied=denied,
            adapter=self._settings.adapter,
            shares=shares,
            use=self._last_use,
            open_calls=self.guard.budget.open_calls,
        )
