"""The least that reads the same events: aiokafka's getmany, msgspec and a dict.

`python -m streams.bench.bare BOOTSTRAP TOPIC EVENTS CORE` prints how long EVENTS took, as JSON.
"""

import asyncio
import json
import os
import sys

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.bench.stopwatch import Stopwatch


class Event(msgspec.Struct, gc=False):
    """The fields that are used."""

    agent: str
    input_tokens: int
    output_tokens: int


async def read(bootstrap: str, topic: str, events: int) -> dict[str, float]:
    """Add up tokens by agent until that many events are read."""
    decode = msgspec.json.Decoder(Event).decode
    totals: dict[str, int] = {}
    watch = Stopwatch(events)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while True:
            found = await consumer.getmany(timeout_ms=1000, max_records=10_000)
            for records in found.values():
                for record in records:
                    event = decode(record.value)
                    totals[event.agent] = totals.get(event.agent, 0) + event.input_tokens + event.output_tokens
                if watch.count(len(records)):
                    return watch.figures()
    finally:
        await consumer.stop()


def main() -> None:
    """Print the figures."""
    bootstrap, topic, events, core = sys.argv[1:5]
    os.sched_setaffinity(0, {int(core)})
    sys.stdout.write(json.dumps(asyncio.run(read(bootstrap, topic, int(events)))) + "\n")


if __name__ == "__main__":
    main()
