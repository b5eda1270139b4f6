"""Events of a file into a topic: in the order of each agent, at the pace of the original or any other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import Struct

from streams.partitioner import family, partition_of

BATCH_BYTES = 256 << 10
RECORD_BYTES_MAX = 8 << 20
TICK_S = 0.02
TIME_MAX_S = 1e11
TOLD_EVERY_S = 0.25
PENDING_MAX = 64


class Record(Struct, frozen=True):
    """One record to be produced; `due_s` is when the original stream had it (Unix seconds)."""

    key: bytes | None
    value: bytes
    due_s: float


class Tally(Struct):
    """What has been produced. `behind_s` is how late the latest record was against its due time."""

    records: int = 0
    unkeyed: int = 0
    """Lines without a usable agent: sent as they are, for the service to quarantine."""
    value_bytes: int = 0
    behind_s: float = 0.0
    stream_s: float = 0.0
    """Time that has passed in the original stream."""


class _Head(Struct):
    agent: str = ""
    ts: float | None = None
    ingest_ts: float | None = None


_head = msgspec.json.Decoder(_Head)
_loose = msgspec.json.Decoder()
_NO_HEAD = _Head()


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Turn JSON lines into records: the key is the agent's family, the time `ingest_ts`, else `ts`; none is dropped."""
    due_s = 0.0
    for line in lines:
        value = line.strip()
        if not value:
            continue
        try:
            head = _head.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            head = _NO_HEAD
        at_s = head.ts if head.ingest_ts is None else head.ingest_ts
        if at_s is not None and 0 <= at_s < TIME_MAX_S:
            due_s = at_s
        yield Record(family(head.agent).encode() if head.agent else None, value, due_s)


def retimed(value: bytes, at_s: Callable[[float], float], now_s: float, suffix: str) -> bytes:
    """Return the event as if it arrived at `now_s`; `at_s` moves times of the original to now, and its id is new.

    >>> retimed(b'{"event_id":"a","ts":90.0,"ingest_ts":92.5}', lambda at_s: at_s + 907.5, 1000.0, "7")
    b'{"event_id":"a.7","ts":997.5,"ingest_ts":1000.0}'
    """
    try:
        event = _loose.decode(value)
        changes = {"event_id": f"{event['event_id']}.{suffix}", "ts": round(at_s(event["ts"]), 3)}
        if "ingest_ts" in event:
            changes["ingest_ts"] = round(now_s, 3)
        return msgspec.json.encode({**event, **changes})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        return value


class Sender:
    """Fills one batch a partition and hands full ones over; what one agent does stays in order."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._open: dict[int, BatchBuilder] = {}
        self._placed: dict[bytes | None, int] = {None: 0}
        self._pending: set[asyncio.Future[Any]] = set()

    async def put(self, key: bytes | None, value: bytes, timestamp_ms: int) -> None:
        """Add a record; waits when too much is on its way. Raises KafkaError when a delivery has failed."""
        partition = self._placed.get(key)
        if partition is None:
            partition = self._placed[key] = partition_of((key or b"").decode(), self._partitions)
        batch = self._open.get(partition) or self._open.setdefault(partition, self._producer.create_batch())
        if batch.append(timestamp=timestamp_ms, key=key, value=value) is None:
            await self._hand_over(partition)
            await self.put(key, value, timestamp_ms)

    async def flush(self) -> None:
        """Hand everything over, without waiting for acknowledgements."""
        for partition in list(self._open):
            await self._hand_over(partition)

    async def close(self) -> None:
        """Hand everything over and wait for all acknowledgements."""
        await self.flush()
        await asyncio.gather(*self._pending)

    async def _hand_over(self, partition: int) -> None:
        batch = self._open.pop(partition)
        batch.close()
        future = await self._producer.send_batch(batch, self._topic, partition=partition)
        self._pending.add(future)
        done = {each for each in self._pending if each.done()}
        if len(self._pending) - len(done) > PENDING_MAX:
            done, _ = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        self._pending -= done
        for each in done:
            each.result()


class Pace(Struct, frozen=True):
    """How fast: `speed` times the original (infinite: as fast as it goes), times as they were or re-timed to now."""

    speed: float = inf
    retime: bool = False
    clock_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


FASTEST = Pace()
Progress = Callable[[Tally], None]


async def produce(
    stream: Iterable[Record],
    client: Mapping[str, Any],
    topic: str,
    pace: Pace = FASTEST,
    progress: Progress = lambda _tally: None,
) -> Tally:
    """Write all records with an idempotent producer and return the tally once every one is acknowledged.

    `client` are the arguments of any aiokafka client; `progress` is called a few times a second.
    Raises KafkaError when the broker can't be reached or refuses a record.
    """
    producer = AIOKafkaProducer(
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=RECORD_BYTES_MAX,
        **client,
    )
    try:
        await producer.start()
        sender = Sender(producer, topic, len(await producer.partitions_for(topic)))
        tally = Tally()
        await _feed(stream, sender, pace, tally, progress)
        await sender.close()
        progress(tally)
        return tally
    finally:
        await producer.stop()


async def _feed(stream: Iterable[Record], sender: Sender, pace: Pace, tally: Tally, progress: Progress) -> None:
    begun_s = told_s = pace.clock_s()
    suffix = f"{int(begun_s * 1000):x}"
    first_s: float | None = None
    for record in stream:
        first_s = record.due_s if first_s is None else first_s
        tally.stream_s = record.due_s - first_s
        now_s = pace.clock_s()
        wait_s = begun_s + tally.stream_s / pace.speed - now_s
        if wait_s >= TICK_S or now_s - told_s >= TOLD_EVERY_S:
            await sender.flush()
            progress(tally)
            await pace.sleep(max(0.0, wait_s))
            told_s = now_s = pace.clock_s()
        tally.behind_s = 0.0 if pace.speed == inf else max(0.0, -wait_s)
        value = record.value
        if pace.retime:
            value = retimed(value, _mover(pace.speed, record.due_s, now_s, first_s, begun_s), now_s, suffix)
        await sender.put(record.key, value, round((now_s if pace.retime else record.due_s) * 1000))
        tally.records += 1
        tally.unkeyed += record.key is None
        tally.value_bytes += len(value)


def _mover(speed: float, due_s: float, now_s: float, first_s: float, begun_s: float) -> Callable[[float], float]:
    """Return what moves a time of the original to now; at a given speed it is one for all, so repeats stay repeats."""
    if speed == inf:
        return lambda at_s: now_s + at_s - due_s
    return lambda at_s: begun_s + (at_s - first_s) / speed
