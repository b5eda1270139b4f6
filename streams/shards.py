"""The shards that this worker owns: an engine each, and its effects carried out in the order that loses nothing."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import UNSET, json, msgpack

from alerts.decision import Action
from alerts.gateway.wire import Command, State
from alerts.observed import ACTION_OF
from alerts.policy import RuleBook
from detectors.judge import Judge
from streams.effects import Effects
from streams.engine import Engine
from streams.metrics import Metrics
from streams.noting import note_effects
from streams.outlet import Message, Outlet
from streams.prices import Prices
from streams.pulse import reopened
from streams.quarantine import QuarantineGate, record_of
from streams.records import RecordBatch
from streams.sightings import Sightings
from streams.state import StateRows
from streams.teams import TeamRecord
from streams.usage import WindowUsage
from streams.windows import MINUTE_S

RECORDS_AT_ONCE = 500
"""Nothing else runs while so many records are judged."""
RECORDS_A_TURN = 4_000
"""No other shard is judged meanwhile: the processor's caches hold what is known of one shard's agents, not of all."""
ROWS_AT_ONCE = 1_000
"""State is written when a batch is done, or so many rows have changed: about what fits into one atomic write."""
STEP_ASIDE_S = 1.0
OVERFLOW_TOLD_EVERY_S = 3_600.0

log = logging.getLogger(__name__)


class Shards:
    """Engines by (topic, partition)."""

    def __init__(
        self,
        new_engine: Callable[[], Engine],
        rows: Mapping[str, StateRows],
        outlet: Outlet,
        metrics: Metrics,
        client: Mapping[str, Any],
        named: Mapping[str, str],
        team_partitions: int,
    ) -> None:
        self.engines: dict[tuple[str, int], Engine] = {}
        self._new_engine = new_engine
        self._rows = rows
        self._outlet = outlet
        self._metrics = metrics
        self._client = client
        self._named = named
        self._team_partitions = team_partitions
        # One a partition: their clocks differ while a backlog is read.
        self._gates: defaultdict[tuple[str, int], QuarantineGate] = defaultdict(QuarantineGate)
        self._turn = asyncio.Lock()
        self._minutes: dict[tuple[str, int], int] = {}
        self._ordered: dict[str, Command] = {}
        self._overflow_told_s = float("-inf")
        self.way_is_free = asyncio.Event()
        """Cleared while a decision is being carried out here: stopping a runaway goes before reading on."""
        self.way_is_free.set()

    async def restore(self, topic: str, partition: int) -> Engine:
        """Build the engine of a partition from its rows, and remember the ids of what it applied lately."""
        engine = self._new_engine()
        rows = self._rows[topic].rows_of(partition)
        engine.restore((key, value) for key, value in rows.items() if not key.startswith(b"team\0"))
        if trouble := engine.rows.layout.trouble(topic, partition):
            log.warning(trouble)
        engine.sightings = Sightings()
        reopened(engine.sightings, engine.rows)
        self.engines[topic, partition] = engine
        if engine.rows.shard.offset >= 0:
            await self._remember(engine, TopicPartition(topic, partition))
        for command in self._ordered.values():
            _inform(engine, command)
        return engine

    def hear(self, command: Command) -> None:
        """Tell the engines what is in force now, also those that are restored later.

        An engine knows what it decided itself: hearing of that again after a restart, it would judge otherwise.
        """
        if command.asked is not UNSET:
            return  # What waits at a gate spends nothing.
        if command.actor == "detector" and not command.scope.startswith("team:"):
            self._ordered.pop(command.scope, None)
            return
        self._ordered[command.scope] = command
        for engine in self.engines.values():
            _inform(engine, command)

    def reconfigure(self, rules: RuleBook, judge: Judge, prices: Prices) -> None:
        """Have all engines judge by these from their next batch on."""
        for engine in self.engines.values():
            engine.reconfigure(rules, judge, prices)

    def applied(self) -> dict[tuple[str, int], int]:
        """Return the last offset that each engine has applied."""
        return {partition: engine.rows.shard.offset for partition, engine in self.engines.items()}

    def drop(self, topic: str, partition: int) -> None:
        """Forget a partition that another worker has now."""
        self.engines.pop((topic, partition), None)

    async def _remember(self, engine: Engine, partition: TopicPartition) -> None:
        since_ms = round(engine.seen.since_s(engine.rows.shard.now_s) * 1000)
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._client)
        await consumer.start()
        try:
            consumer.assign([partition])
            found = (await consumer.offsets_for_times({partition: max(0, since_ms)}))[partition]
            if found is None:
                return
            consumer.seek(partition, found.offset)
            while await consumer.position(partition) <= engine.rows.shard.offset:
                records = (await consumer.getmany(timeout_ms=1000)).get(partition)
                if records:
                    known = [r for r in records if r.offset <= engine.rows.shard.offset]
                    engine.remember(
                        RecordBatch(
                            partition.topic, partition.partition, [r.offset for r in known],
                            [r.timestamp for r in known], [r.value for r in known],
                        )
                    )  # fmt: skip
        finally:
            await consumer.stop()

    async def take(self, batch: RecordBatch) -> None:
        """Apply a batch; when this returns, everything that follows from it is acknowledged.

        Raises UndeliveredError or StateWriteError: the process has to end, and the batch is delivered again.
        """
        engine = self.engines.get((batch.topic, batch.partition)) or await self.restore(batch.topic, batch.partition)
        waiting: list[Effects] = []
        first, end = 0, len(batch)
        while first < end:
            with self._metrics.batch_s.time():
                async with self._turn:
                    first = await self._judge(batch, first, engine, waiting)
                if first >= end or engine.rows.changed >= ROWS_AT_ONCE:
                    await self._write(batch, engine, waiting)
                    waiting = []

    async def _judge(self, batch: RecordBatch, first: int, engine: Engine, waiting: list[Effects]) -> int:
        """Judge a turn of records and speak, until so many rows have changed that they should be written.

        Returns the index of the next record.
        """
        end, after = min(first + RECORDS_A_TURN, len(batch)), first
        while after < end and (after == first or engine.rows.changed < ROWS_AT_ONCE):
            await self._step_aside()
            piece = batch.part(after, min(after + RECORDS_AT_ONCE, end))
            effects = engine.apply(piece)
            waiting.append(effects)
            self._metrics.unwritten.inc(effects.counts.consumed)
            await self._speak(piece, engine, effects)
            after += len(piece)
        return after

    async def _step_aside(self) -> None:
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP_ASIDE_S):
                await self.way_is_free.wait()

    async def _speak(self, batch: RecordBatch, engine: Engine, effects: Effects) -> None:
        """Decisions first: state that is written knows of them, so they must be out before it is."""
        messages = [
            Message(self._named["decisions"], d.scope.encode(), json.encode(d), 0)
            for d in effects.decisions
            if d.action is not Action.OBSERVE
        ]
        messages += [Message(self._named["acks"], d.scope.encode(), json.encode(d), 0) for d in effects.disobeyed]
        messages += self._quarantine(batch, engine, effects)
        if messages:
            await self._outlet.send(messages)

    async def _write(self, batch: RecordBatch, engine: Engine, waiting: Sequence[Effects]) -> None:
        """Tell the teams, write the state, and only then count what was done."""
        messages = self._team_records(batch, engine.drain_usage(), waiting[-1].watermark_s)
        if messages:
            await self._outlet.send(messages)
        await self._rows[batch.topic].write(batch.partition, engine.rows.drain())
        note_effects(self._metrics, waiting)
        self._metrics.unwritten.dec(sum(effects.counts.consumed for effects in waiting))
        for effects in waiting:
            self._tell_overflow(effects)
            if engine.sightings is not None:
                engine.sightings.judged(effects.verdicts)

    def _tell_overflow(self, effects: Effects) -> None:
        """Say at most once an hour that agents are left out: an alert tells who watches the metrics."""
        now_s = time.monotonic()
        if effects.overflows and now_s - self._overflow_told_s >= OVERFLOW_TOLD_EVERY_S:
            self._overflow_told_s = now_s
            log.error(
                "More agents than service.agents_max: the calls of further ones are counted and not judged. "
                "Is there a new name for every call?"
            )

    def _quarantine(self, batch: RecordBatch, engine: Engine, effects: Effects) -> list[Message]:
        topic = self._named["quarantine"]
        admitted = self._gates[batch.topic, batch.partition].admit(effects.quarantined, engine.rows.shard.now_s)
        return [Message(topic, None, record_of(batch, found)) for found in admitted]

    def _team_records(
        self, batch: RecordBatch, teams: Mapping[str, list[WindowUsage]], watermark_s: float
    ) -> list[Message]:
        topic, shard = self._named["teams"], f"{batch.topic}/{batch.partition}"
        # The watermark follows the counters of all teams: wherever the team stage's batches end, none comes too late.
        records = [
            Message(topic, team.encode(), msgpack.encode(TeamRecord(team, shard, 0.0, usage)))
            for team, usage in teams.items()
        ]
        minute = int(watermark_s // MINUTE_S)
        if self._minutes.get((batch.topic, batch.partition)) != minute:
            self._minutes[batch.topic, batch.partition] = minute
            records += self.watermark_records(shard, watermark_s)
        return records

    def watermark_records(self, shard: str, watermark_s: float) -> list[Message]:
        """Tell every partition of the teams topic how far a shard has come."""
        value = msgpack.encode(TeamRecord("", shard, watermark_s))
        return [Message(self._named["teams"], None, value, p) for p in range(self._team_partitions)]

    async def beat(self, silent: Set[tuple[str, int]], now_s: float, lateness_s: float) -> None:
        """Let the clocks of shards that have nothing left to read go on, so that their silence holds no team back."""
        messages: list[Message] = []
        for (topic, partition), engine in self.engines.items():
            if (topic, partition) in silent and engine.rows.shard.now_s < now_s - MINUTE_S:
                messages += self.watermark_records(f"{topic}/{partition}", now_s - lateness_s)
        if messages:
            await self._outlet.send(messages)


def _inform(engine: Engine, command: Command) -> None:
    if command.state is not State.RELEASED and command.ends_s <= engine.rows.shard.now_s:
        return
    until_s = None if command.ends_s == float("inf") else command.ends_s
    planned = command.state is State.RELEASED and bool(command.evidence.get("planned"))
    engine.sentence.control(command.scope, ACTION_OF[command.state], command.issued_at, until_s, planned=planned)
