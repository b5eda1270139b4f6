"""Reads the topics into the board, without a group: every worker's page shows all that all workers do."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from alerts.gateway.keys import Trust
from alerts.gateway.wire import Command
from streams.kill_topic import View, Wiring
from streams.web.board import AUDIT_KEPT, Board
from streams.web.histories import KEY, Histories

READ = ("incidents", "spend", "acks", "audit", "decisions", "pulse")
"""In the order in which they matter."""
PULSE_BACK_S = 5_400.0
DAY_S = 86_400.0
ACKS_BACK = 2_000
RECORDS_AT_ONCE = 8
"""Between two chances for the worker's own work; a pulse has some hundred agents."""

Starts = Mapping[TopicPartition, int]


class Reader:
    """Keeps the board up to date."""

    def __init__(
        self,
        board: Board,
        histories: Histories,
        client: Mapping[str, Any],
        named: Mapping[str, str],
        partitions: Mapping[str, int],
        trust: Trust,
        clock: Callable[[], float],
    ) -> None:
        """`named` gives the topics' names, `partitions` how many each of them has."""
        self._board = board
        self._histories = histories
        self._client = client
        self._named = {topic: what for what, topic in named.items()}
        self._topics = named
        self._partitions = partitions
        self._read: dict[TopicPartition, int] = {}
        """Where to go on after a failure."""
        self._trust = trust
        self._clock = clock

    def forget(self) -> None:
        """Drop all that was read, to begin anew at the next `follow`."""
        self._board.clear()
        self._histories.clear()
        self._read.clear()

    async def follow_kills(self) -> None:
        """Read the kill topic until cancelled. Raises KafkaError."""
        board = self._board
        wiring = Wiring(self._client, self._topics["kills"], self._topics["acks"])
        view = View(wiring, self._trust, board.orders, self._clock)

        def ordered(command: Command) -> None:
            board.ordered(command, view.offset)

        view.on_command = ordered
        await view.start()
        try:
            while True:
                board.obedience.end = view.offset
                board.read.beat_s = view.heartbeat.issued_at if view.heartbeat else 0.0
                await view.poll(1_000)
        finally:
            await view.stop()

    async def follow(self) -> None:
        """Read the other topics until cancelled, from where it stood before if this isn't the first time.

        Raises KafkaError.
        """
        consumer = AIOKafkaConsumer(
            enable_auto_commit=False, fetch_max_wait_ms=200, max_poll_records=2_000, **self._client
        )
        await consumer.start()
        try:
            topics = [self._topics[what] for what in READ]
            partitions = [TopicPartition(topic, n) for topic in topics for n in range(self._partitions.get(topic, 0))]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            starts = await self._starts(consumer, partitions, ends)
            for partition in partitions:
                consumer.seek(partition, self._read.get(partition, starts[partition]))
            left = {p for p in partitions if await consumer.position(p) < ends[p]}
            while True:
                await self._take(await consumer.getmany(timeout_ms=500))
                left = {p for p in left if await consumer.position(p) < ends[p]}
                self._board.read.complete = self._board.read.complete or not left
                if self._board.read.complete:
                    self._board.accounts.forget(self._clock())
                    self._histories.note(self._board, self._clock())
        finally:
            await consumer.stop()

    async def _take(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        taken = 0
        for partition, records in found.items():
            what = self._named[partition.topic]
            for record in records:
                if what == "spend" and (record.key or b"").startswith(KEY):
                    self._histories.restore(record.key, record.value)
                else:
                    self._board.take(what, record.key, record.value, self._clock())
                self._read[partition] = record.offset + 1
                taken += 1
                if taken % RECORDS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _starts(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition], ends: Starts) -> Starts:
        """Return where to begin: compacted topics at their beginning, the others as far back as is shown."""
        now_s = self._clock()
        starts: dict[TopicPartition, int] = dict(await consumer.beginning_offsets(partitions))
        since_s = {"pulse": now_s - PULSE_BACK_S, "decisions": now_s // DAY_S * DAY_S}
        back = {"acks": ACKS_BACK, "audit": AUDIT_KEPT}
        for partition in partitions:
            what = self._named[partition.topic]
            if what in back:
                starts[partition] = max(starts[partition], ends[partition] - back[what])
            if what in since_s:
                wanted = {partition: round(since_s[what] * 1000)}
                found = (await consumer.offsets_for_times(wanted))[partition]
                starts[partition] = ends[partition] if found is None else found.offset
        return starts
