"""Reads a compacted topic of one partition to its end."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError


async def read_compacted(client: Mapping[str, Any], topic: str, *, by_offset: bool = False) -> dict[str, bytes | None]:
    """Return the last value of every key of a topic of one partition; `by_offset` every value, by its offset.

    Raises KafkaError, also for a topic that isn't there.
    """
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **client)
    await consumer.start()
    rows: dict[str, bytes | None] = {}
    try:
        if topic not in await consumer.topics():
            raise UnknownTopicOrPartitionError(f"{topic} does not exist, or may not be read")
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if by_offset or record.key is not None:
                        rows[str(record.offset) if by_offset else record.key.decode()] = record.value
    finally:
        await consumer.stop()
    return {key: value for key, value in rows.items() if value is not None}
