"""How far clocks are apart: this machine's, the commander's and the gateways', each against the broker's."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct, field

from alerts.gateway.keys import Trust
from alerts.gateway.wire import HEARTBEAT_KEY, WireError, decode_ack
from streams.kill_topic import Wiring

LISTEN_S = 3.0
"""Commander and gateways speak every 2 s."""
APPEND_TIME = 1
APART_S = 2.0
"""From here on it is told; at 10 s gateways take heartbeats for stale, and a kill ends so much too early or late."""


class Clocks(Struct):
    """Seconds that each clock is ahead of the broker's; what did not speak is left out."""

    here_s: float | None = None
    commander_s: float | None = None
    gateways_s: dict[str, float] = field(default_factory=dict)

    def apart(self) -> dict[str, float]:
        """Return whose clock is how far ahead (behind, if negative) by so much that it matters, the worst first."""
        named = {"This machine": self.here_s, "The commander": self.commander_s}
        named |= {f"Gateway {name}": ahead_s for name, ahead_s in self.gateways_s.items()}
        found = {who: ahead_s for who, ahead_s in named.items() if ahead_s is not None and abs(ahead_s) >= APART_S}
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


async def measure(wiring: Wiring, trust: Trust, env: str, clock: Callable[[], float] = time.time) -> Clocks:
    """Listen for a moment. Nothing is known where the broker doesn't stamp these topics. Raises KafkaError."""
    found = Clocks()
    kills, acks = TopicPartition(wiring.kills, 0), TopicPartition(wiring.acks, 0)
    consumer = AIOKafkaConsumer(enable_auto_commit=False, fetch_max_wait_ms=50, **wiring.client)
    await consumer.start()
    try:
        consumer.assign([kills, acks])
        for partition, end in (await consumer.end_offsets([kills, acks])).items():
            consumer.seek(partition, end)
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                while True:
                    _take(found, await consumer.getmany(timeout_ms=200), trust, env, clock())
    finally:
        await consumer.stop()
    return found


def _take(found: Clocks, records: Mapping[TopicPartition, Any], trust: Trust, env: str, now_s: float) -> None:
    """Take in what has just come: the broker has stamped it, its writer has signed or said when that was."""
    for record in (record for some in records.values() for record in some if record.value is not None):
        if record.timestamp_type != APPEND_TIME:
            continue
        appended_s = record.timestamp / 1000
        # What is read later than at once looks as if this clock were ahead.
        found.here_s = min(now_s - appended_s, found.here_s if found.here_s is not None else now_s)
        with suppress(WireError):
            if record.key == HEARTBEAT_KEY.encode():
                beat = trust.verify(record.value, HEARTBEAT_KEY).payload
                if beat.env == env:
                    found.commander_s = beat.issued_at - appended_s
            elif record.key is None and (ack := decode_ack(record.value)).env == env:
                found.gateways_s[ack.gateway] = ack.at - appended_s
