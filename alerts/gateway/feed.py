"""Keeps a guard up to date from Kafka, without a consumer group, and reports what it obeys."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from .guard import Guard, Kind
from .storage import load, save
from .wire import HEARTBEAT_KEY, STOPPED, Ack, WireError, encode_ack

ACK_EVERY_S = 2.0
POLL_MS = 500
RETRY_MIN_S, RETRY_MAX_S = 0.2, 5.0

log = logging.getLogger(__name__)


class FeedSettings(Struct, frozen=True, kw_only=True):
    """Where the commands come from. `client` are the arguments of any aiokafka client: bootstrap, security."""

    gateway_id: str
    env: str
    client: Mapping[str, Any]
    kills_topic: str = "brakeline.kills"
    acks_topic: str = "brakeline.acks"
    snapshot: Path | None = None
    adapter: str = ""
    events_topic: str = ""
    """Where usage is reported; empty if it isn't."""
    prompt_key: bytes = b""
    """Makes a keyed hash of each prompt; empty if nothing of it shall be reported."""


class Feed:
    """Runs in the event loop that started it; the guard may be asked from there.

    A broker that can't be reached is retried for ever: what is known stays in force meanwhile.
    """

    def __init__(self, guard: Guard, settings: FeedSettings, clock: Callable[[], float] = time.time) -> None:
        self.guard = guard
        self.offset = -1
        self.denied_calls = 0
        self.connected = False
        self._settings = settings
        self._clock = clock
        self._partition = TopicPartition(settings.kills_topic, 0)
        self._end: int | None = None
        self._latest = (0, 0)
        self._changed = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._ready = asyncio.Event()
        self._saving: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the snapshot and begin to read; returns at once, see `wait_ready`."""
        await self._restore()
        steps = [self._keep_reading, self._keep_reporting]
        if self._settings.snapshot is not None:
            steps.append(self._keep_saving)
        self._tasks = [asyncio.create_task(step()) for step in steps]

    async def stop(self) -> None:
        """Stop reading and reporting, and save what isn't yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._saving is not None:
            await self._saving
        if self._settings.snapshot is not None and self._unsaved.is_set():
            self._save(self.guard.snapshot())

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until everything in force is known; False if it took longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        return self._ready.is_set()

    async def _restore(self) -> None:
        path = self._settings.snapshot
        try:
            content = await asyncio.to_thread(load, path) if path else None
            if content is not None:
                count = self.guard.restore(content, self._clock())
                log.info("Restored %d commands from %s", count, path)
        except (OSError, WireError) as error:
            log.error("Starting without the snapshot %s: %s", path, error)

    async def _keep_reading(self) -> None:
        pause_s = RETRY_MIN_S
        while True:
            # Each client waits by itself for a broker that went away; this loop is for the first connection.
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=POLL_MS,
                **self._settings.client,
            )
            try:
                await consumer.start()
                pause_s = RETRY_MIN_S
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                self.connected = False
                log.warning("Kafka can't be read, what is known stays in force: %r", error)
            finally:
                with suppress(KafkaError, OSError):
                    await consumer.stop()
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_MAX_S, pause_s * 2)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        self._end = (await consumer.end_offsets([self._partition]))[self._partition]
        # Not seek_to_beginning: it would race with the reset that assign has begun.
        consumer.seek(self._partition, (await consumer.beginning_offsets([self._partition]))[self._partition])
        self.guard.begin_sync()
        self.connected = True
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS)
            self._take([record for records in found.values() for record in records])
            if self._end is not None and await consumer.position(self._partition) >= self._end:
                self._end = None
                self.guard.reach_end()

    def _take(self, records: list[Any]) -> None:
        now_s = self._clock()
        beats = [record.offset for record in records if record.key == HEARTBEAT_KEY.encode()]
        for record in records:
            self.offset = record.offset
            # A log full of old heartbeats must not delay the start: the last of a batch says it all.
            if beats and record.offset in beats and record.offset != beats[-1]:
                continue
            key = (record.key or b"").decode("utf-8", "replace")
            outcome = self.guard.apply(key, record.value, now_s)
            if outcome.kind is Kind.REFUSED:
                log.warning("Refused the record at offset %d of the kill topic: %s", record.offset, outcome.why)
            elif outcome.kind is Kind.COMMAND and outcome.command is not None:
                self._latest = outcome.command.order
                self._changed.set()
                self._unsaved.set()
        if not self._ready.is_set() and self.guard.ready(now_s):
            self._ready.set()
            self._changed.set()
            self._unsaved.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            if not self.guard.can_vouch:
                continue
            # Shielded: a thread can't be cancelled, and whoever starts next reads what it writes.
            self._saving = asyncio.ensure_future(asyncio.to_thread(self._save, self.guard.snapshot()))
            await asyncio.shield(self._saving)

    def _save(self, content: bytes) -> None:
        assert self._settings.snapshot is not None
        try:
            save(self._settings.snapshot, content)
        except OSError as error:
            log.error("The snapshot can't be written, a restart without Kafka would forget: %s", error)

    async def _keep_reporting(self) -> None:
        while True:
            # Reports grant nothing and must not hold anything up: no idempotence, no retries to wait for.
            producer = AIOKafkaProducer(acks=1, linger_ms=0, **self._settings.client)
            try:
                await producer.start()
                await self._report(producer)
            except (KafkaError, OSError) as error:
                log.warning("Can't report what is obeyed: %r", error)
            finally:
                with suppress(KafkaError, OSError):
                    await producer.stop()
            await asyncio.sleep(ACK_EVERY_S)

    async def _report(self, producer: AIOKafkaProducer) -> None:
        topic = self._settings.acks_topic
        try:
            while True:
                self._changed.clear()
                await producer.send_and_wait(topic, encode_ack(self.ack()), partition=0)
                # Not wait_for: before Python 3.12 it can swallow the cancellation that stops us.
                with suppress(TimeoutError):
                    async with asyncio.timeout(ACK_EVERY_S):
                        await self._changed.wait()
        except asyncio.CancelledError:
            # Nobody shall be called for a gateway that was meant to stop.
            await producer.send(topic, encode_ack(self.ack(STOPPED)), partition=0)
            raise

    def ack(self, state: str = "") -> Ack:
        """Return the report that is due now."""
        now_s = self._clock()
        epoch, seq = self._latest
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
            denied_calls=self.denied_calls,
            adapter=self._settings.adapter,
        )
