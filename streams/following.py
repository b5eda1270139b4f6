"""Some of our topics, read from a time on: to their end, or for as long as somebody looks."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

LOOK_BACK = 1_000


class Found(NamedTuple):
    """One record: which topic it is of, by our name for it, and when it was written (Unix seconds)."""

    what: str
    at_s: float
    key: bytes | None
    value: bytes | None


async def follow(
    client: Mapping[str, Any], named: Mapping[str, str], since_s: float | None, *, on: bool
) -> AsyncIterator[Found]:
    """Yield records of the topics `named` (our name -> full name): what is there already by its time, then as it comes.

    Starts at `since_s`, or with what is written from now on if that is None; `on` goes on beyond the present end.
    Raises KafkaError when the cluster can't be reached or a topic isn't there.
    """
    whats = {topic: what for what, topic in named.items()}
    consumer = AIOKafkaConsumer(*whats, enable_auto_commit=False, fetch_max_wait_ms=100, **client)
    await consumer.start()
    try:
        ends = await _placed(consumer, since_s)
        waiting: list[Found] = []
        while True:
            for part in (await consumer.getmany(timeout_ms=500)).values():
                waiting += [Found(whats[r.topic], r.timestamp / 1000, r.key, r.value) for r in part]
            # Topics are fetched one after the other: what is old comes in order only once all of it is here.
            if not await _reached(consumer, ends):
                continue
            for found in sorted(waiting, key=lambda found: found.at_s):
                if since_s is None or found.at_s >= since_s:
                    yield found
            waiting.clear()
            if not on:
                return
    finally:
        await consumer.stop()


async def _placed(consumer: AIOKafkaConsumer, since_s: float | None) -> Mapping[TopicPartition, int]:
    """Set the reader to where it begins; return where the topics end now."""
    partitions = sorted(consumer.assignment())
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
    starts = dict(ends)
    if since_s is not None:
        first = await consumer.beginning_offsets(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(0, round(since_s * 1000))))
        # No answer: nothing is as young, or the embedded broker, which knows no times.
        guess = {partition: max(first[partition], ends[partition] - LOOK_BACK) for partition in partitions}
        starts = {partition: guess[partition] if at is None else at.offset for partition, at in found.items()}
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    return ends


async def _reached(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])
