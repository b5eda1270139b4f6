"""Events that are still in Kafka, by time: read without a group, nothing committed, each partition in its order."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from streams.records import RecordBatch
from streams.settings import Settings

AT_ONCE = 2_000
POLL_MS = 500
_DAY_MS = 86_400_000


class KafkaRange(Struct, frozen=True):
    """What arrived in topics from `since_s` to before `until_s`, Unix seconds by the records' own time."""

    client: Mapping[str, Any]
    topics: Sequence[str]
    since_s: float
    until_s: float

    def open(self) -> "Reading":
        """Connect and find the range. Raises ValueError for a topic that isn't there, KafkaError without a cluster."""
        return Reading(self)


def range_of(settings: Settings, since_s: float | None, until_s: float | None) -> KafkaRange:
    """Return the range of the settings' events topics; all that is there up to now if no time is given."""
    until_s = time.time() if until_s is None else until_s
    return KafkaRange(settings.kafka.client_kwargs(), settings.topics.event_topics, since_s or 0.0, until_s)


class Reading:
    """One pass over a range; use it as a context. A shard is a partition, numbered over all topics."""

    def __init__(self, wanted: KafkaRange) -> None:
        self._runner = asyncio.Runner()
        self._consumer: AIOKafkaConsumer | None = None
        self._waiting: dict[TopicPartition, deque[Any]] = {}
        self._ends: dict[TopicPartition, int] = {}
        try:
            self._runner.run(self._start(wanted))
        except BaseException:
            self.close()
            raise
        self.shards = {tp: number for number, tp in enumerate(sorted(self._ends))}

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            self._runner.run(self._consumer.stop())
        self._runner.close()

    def batches(self) -> Iterator[RecordBatch]:
        """Yield the records as batches whose `partition` is the shard: all shards up to some time, then further.

        A slice ends with its day (UTC) at the latest, so that all of a day comes before the next.
        """
        while self._runner.run(self._fill()):
            for tp, records in self._slice():
                yield RecordBatch(
                    tp.topic,
                    self.shards[tp],
                    [record.offset for record in records],
                    [record.timestamp for record in records],
                    [record.value for record in records],
                )

    async def _start(self, wanted: KafkaRange) -> None:
        tps = await _partitions(wanted)
        self._consumer = consumer = AIOKafkaConsumer(enable_auto_commit=False, **wanted.client)
        await consumer.start()
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found = [await consumer.offsets_for_times(dict.fromkeys(tps, round(1000 * at_s))) for at_s in _times(wanted)]
        for tp in tps:
            first, last = (each[tp].offset if each[tp] is not None else ends[tp] for each in found)
            consumer.seek(tp, first)
            self._ends[tp], self._waiting[tp] = max(first, last), deque()
        self.records = sum([self._ends[tp] - await consumer.position(tp) for tp in tps])

    async def _fill(self) -> bool:
        """Have a record wait for each partition that isn't at its end; False when nothing is left."""
        assert self._consumer is not None
        while starving := [tp for tp, records in self._waiting.items() if not records and await self._goes_on(tp)]:
            found = await self._consumer.getmany(*starving, timeout_ms=POLL_MS, max_records=AT_ONCE)
            for tp, records in found.items():
                self._waiting[tp].extend(record for record in records if record.offset < self._ends[tp])
        return any(self._waiting.values())

    async def _goes_on(self, tp: TopicPartition) -> bool:
        assert self._consumer is not None
        return bool(await self._consumer.position(tp) < self._ends[tp])

    def _slice(self) -> Iterator[tuple[TopicPartition, list[Any]]]:
        """Take what surely nothing older follows, and at least something."""
        heads = {tp: records[0].timestamp for tp, records in self._waiting.items() if records}
        first = min(heads, key=heads.__getitem__)
        day_end = (heads[first] // _DAY_MS + 1) * _DAY_MS - 1
        until = min(day_end, *(self._waiting[tp][-1].timestamp for tp in heads))
        for tp in sorted(heads):
            waiting = self._waiting[tp]
            # A producer's clock may have gone back: the oldest head goes on all the same.
            bound = max(until, heads[tp]) if tp == first else until
            taken = list(takewhile(_up_to(bound), waiting))
            for _ in taken:
                waiting.popleft()
            if taken:
                yield tp, taken


async def _partitions(wanted: KafkaRange) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**wanted.client)
    await admin.start()
    try:
        # A topic that isn't there may be made by asking about it.
        if absent := set(wanted.topics) - set(await admin.list_topics()):
            raise ValueError(f"topic {min(absent)} does not exist, or may not be read; see topics in the settings")
        described = await admin.describe_topics(list(wanted.topics))
    finally:
        await admin.close()
    return [TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]]


def _up_to(bound_ms: int) -> Callable[[Any], bool]:
    return lambda record: record.timestamp <= bound_ms


def _times(wanted: KafkaRange) -> tuple[float, float]:
    return max(0.0, wanted.since_s), max(0.0, wanted.until_s)
