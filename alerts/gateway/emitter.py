"""Takes usage events to Kafka beside the calls: in a thread of its own, never in the way of one."""

import asyncio
import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from .ending import end
from .events import Event

WAITING_MAX = 20_000
BATCH_MAX = 500
TICK_S = 0.02
RETRY_MIN_S, RETRY_MAX_S = 0.2, 5.0
FLUSH_S = 5.0

log = logging.getLogger(__name__)
EVENTS = Counter(
    "brakeline_gateway_events_total",
    "Usage events of this process: sent to Kafka, dropped because too many waited for it, or failed to be made.",
    ["outcome"],
)
Pending = Callable[[], Event | None]
"""Makes an event, or none, in the emitter's thread."""


class Emitter:
    """Writes events keyed by agent, in their order. While Kafka is away they wait; the oldest of too many are dropped.

    The thread starts with the first event, so that one made before a fork works after it.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, waiting_max: int = WAITING_MAX) -> None:
        self._client = client
        self._topic = topic
        self._pending: deque[Pending] = deque(maxlen=waiting_max)
        self._waiting: deque[tuple[bytes, bytes]] = deque(maxlen=waiting_max)
        self._sending: list[tuple[bytes, bytes]] = []
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    def put(self, pending: Pending) -> None:
        """Take what makes an event; returns at once, may be called from any thread."""
        _append(self._pending, pending)
        if self._thread is None:
            self._start()

    def close(self, timeout_s: float = FLUSH_S) -> None:
        """Write what waits, for `timeout_s` at most; what doesn't get through is counted as dropped."""
        self._closing = True
        thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self.close)
            thread.join(timeout_s)
        lost = len(self._pending) + len(self._waiting) + len(self._sending)
        if lost:
            log.warning("%d usage events were not written", lost)
            EVENTS.labels("dropped").inc(lost)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closing:
                run = threading.Thread(target=lambda: asyncio.run(self._run()), name="brakeline-usage", daemon=True)
                self._thread = run
                run.start()
                atexit.register(self.close)

    async def _run(self) -> None:
        writing = asyncio.create_task(self._keep_writing())
        while not self._closing:
            self._make()
            await asyncio.sleep(TICK_S)
        self._make()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while self._waiting or self._sending:
                    await asyncio.sleep(TICK_S)
        await end([writing], FLUSH_S)

    def _make(self) -> None:
        """Make events of what is pending: what is kept of calls is let go at once, whether Kafka is there or not."""
        while self._pending:
            try:
                event = self._pending.popleft()()
                if event is not None:
                    _append(self._waiting, event.encode())
            except Exception:
                EVENTS.labels("failed").inc()
                log.exception("The usage of a call could not be read")

    async def _keep_writing(self) -> None:
        pause_s = RETRY_MIN_S
        while True:
            producer = AIOKafkaProducer(acks="all", **self._client)
            try:
                await producer.start()
                if self._topic not in (await producer.client.fetch_all_metadata()).topics():
                    log.warning("Usage waits: there is no topic %s yet", self._topic)
                else:
                    while True:
                        await self._write(producer)
                        pause_s = RETRY_MIN_S
                        await asyncio.sleep(TICK_S)
            except (KafkaError, OSError) as error:
                log.warning("Usage waits for Kafka, %d events: %r", len(self._waiting) + len(self._sending), error)
            finally:
                with suppress(KafkaError, OSError):
                    await producer.stop()
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_MAX_S, pause_s * 2)

    async def _write(self, producer: AIOKafkaProducer) -> None:
        """Write what waits. A batch that fails is written again whole: the service knows events by their ids."""
        while self._sending or self._waiting:
            while self._waiting and len(self._sending) < BATCH_MAX:
                self._sending.append(self._waiting.popleft())
            acks = [await producer.send(self._topic, value, key) for key, value in self._sending]
            await asyncio.gather(*acks)
            EVENTS.labels("sent").inc(len(self._sending))
            self._sending = []


def _append(queue: deque[Any], each: Any) -> None:
    if len(queue) == queue.maxlen:
        EVENTS.labels("dropped").inc()
    queue.append(each)
