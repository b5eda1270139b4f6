"""What the kill topic says: read from its beginning, each record verified."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from alerts.commands import Orders
from alerts.gateway.keys import Trust
from alerts.gateway.wire import Command, Heartbeat, WireError

LIVE_S = 10.0
BY_HAND = "by-hand:"
"""How the writers begin that are commands of a person: their heartbeats don't mean that a service is at work."""

log = logging.getLogger(__name__)


class Wiring(Struct, frozen=True):
    """How to reach Kafka (arguments of any aiokafka client), and the topics' names."""

    client: Mapping[str, Any]
    kills: str
    acks: str


class View:
    """What the kill topic says, read from its beginning; `wait_synced` returns at the end captured at the start."""

    def __init__(self, wiring: Wiring, trust: Trust, orders: Orders, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.orders = orders
        self.heartbeat: Heartbeat | None = None
        self.bad_records = 0
        self._wiring = wiring
        self._trust = trust
        self._consumer: AIOKafkaConsumer | None = None
        self.offset = -1
        self.rival = ""
        """Another service that has begun a higher epoch; it says so in a heartbeat, which takes the commander's key."""
        self.on_command: Callable[[Command], None] | None = None

    async def start(self) -> None:
        """Read the whole topic."""
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            **self._wiring.client,
        )
        await self._consumer.start()
        partition = TopicPartition(self._wiring.kills, 0)
        self._consumer.assign([partition])
        end = (await self._consumer.end_offsets([partition]))[partition]
        # seek_to_beginning would race with the reset to the configured offset that assign has begun.
        self._consumer.seek(partition, (await self._consumer.beginning_offsets([partition]))[partition])
        while await self._consumer.position(partition) < end:
            await self.poll(200)

    async def stop(self) -> None:
        """Close the reader."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def poll(self, timeout_ms: int) -> bool:
        """Take in what came; tell whether another writer has begun a higher epoch."""
        assert self._consumer is not None
        found = await self._consumer.getmany(timeout_ms=timeout_ms)
        outrun = False
        for records in found.values():
            for record in records:
                self.offset = record.offset
                outrun |= self._take(record, self._clock())
        return outrun

    def _take(self, record: Any, now_s: float) -> bool:
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self.orders.observe_unusable(key, None, now_s)
            return False
        try:
            signed = self._trust.verify(record.value, key)
        except WireError as error:
            self.bad_records += 1
            self.orders.observe_unusable(key, record.value, now_s)
            log.warning("Ignored a record of the kill topic at offset %d: %s", record.offset, error)
            return False
        outrun = self.orders.observe(signed, record.value, now_s)
        if isinstance(signed.payload, Heartbeat):
            self.heartbeat = signed.payload
            if outrun and not signed.payload.writer.startswith(BY_HAND):
                self.rival = signed.payload.writer
        elif self.on_command is not None:
            self.on_command(signed.payload)
        return outrun

    def commander_is_live(self, now_s: float) -> bool:
        """Tell whether a commander has sent a heartbeat within 10 s."""
        return self.heartbeat is not None and now_s - self.heartbeat.issued_at < LIVE_S
