"""Reads a topic of one partition from its beginning and goes on for ever, without a consumer group."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from .obstacle import cause

POLL_MS = 500
RETRY_MIN_S, RETRY_MAX_S = 0.2, 5.0


class Tail:
    """Hands on what it reads: `on_start` at each new connection, `on_end` once all that was there then has been read.

    A broker that can't be reached, and a topic that isn't there yet, are retried for ever; `trouble` says which it is.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        on_records: Callable[[Sequence[Any]], None],
        *,
        on_start: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.connected = False
        self.trouble = ""
        self._client = client
        self._partition = TopicPartition(topic, 0)
        self._on_records = on_records
        self._on_start = on_start
        self._on_end = on_end

    async def run(self) -> None:
        """Read until cancelled."""
        pause_s = RETRY_MIN_S
        while True:
            # Each client waits by itself for a broker that went away; this loop is for the first connection.
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=POLL_MS, **self._client
            )
            try:
                await consumer.start()
                if self._partition.topic in await consumer.topics():
                    pause_s = RETRY_MIN_S
                    await self._read(consumer)
                # The broker doesn't tell the two apart for whoever may not know.
                self.trouble = f"topic {self._partition.topic} does not exist, or this gateway may not read it"
            except (KafkaError, OSError) as error:
                self.connected = False
                self.trouble = f"topic {self._partition.topic} can't be read: {await cause(self._client, error)}"
            finally:
                with suppress(KafkaError, OSError):
                    await consumer.stop()
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_MAX_S, pause_s * 2)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        end: int | None = (await consumer.end_offsets([self._partition]))[self._partition]
        # Not seek_to_beginning: it would race with the reset that assign has begun.
        consumer.seek(self._partition, (await consumer.beginning_offsets([self._partition]))[self._partition])
        self._on_start()
        self.connected, self.trouble = True, ""
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS)
            self._on_records([record for records in found.values() for record in records])
            if end is not None and await consumer.position(self._partition) >= end:
                end = None
                self._on_end()
