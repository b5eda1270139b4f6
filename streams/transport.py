"""The Faust driver: an agent gets one message for each fetched range of a partition, and commits are exact.

A message's value is a RecordBatch and its offset the batch's last. Three things are done differently from Faust 0.15.3,
whose commits stand still, or pass over events, after some restarts with a table and some rebalances:

- Faust hands on records that were fetched before it moves the consumer back to the committed offsets (it resumes the
  partitions first, and a fetch under way survives the move). They raise its read offset, so that what is read again
  is taken for old and dropped; or the gap before them is booked as done. Here a range is delivered only if it starts
  where the last one ended (`Ledger`); otherwise the consumer is set back to there.
- A partition without a committed offset isn't moved back at all: what was fetched for it and dropped is never read.
  Here it is set to its beginning.
- What is fetched after that move and before the partitions are ready was dropped, and its lag stayed until more came.
  Here it is read again once their owner is ready.
- The set of active partitions is shared with the thread that fetches: emptied meanwhile, it means "all partitions".

It leans on private parts of Faust and aiokafka, hence the exact pins; its contract tests fail loudly on an upgrade.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Set
from typing import Any

import aiokafka
import faust
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from streams.checksums import keep_bytes
from streams.fetching import Taken, fetch
from streams.ledger import Ledger, Progress, Verdict
from streams.pins import check_pins
from streams.records import RecordBatch

FETCH_WAIT_MS = 100
"""While a fetch waits for some partitions the broker isn't asked for others, so this bounds what an event may wait."""

TopicPartition = tuple[str, int]
Hook = Callable[[frozenset[TopicPartition]], Awaitable[None]]


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Hands the batch on as it is."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the message's key."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the message's batch."""
        return message.value


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers RecordBatches of the app's `batch_topics`; other topics (changelogs) go Faust's way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ledgers: dict[TP, Ledger] = {}
        self._is_restored = False
        self._skipped: set[TP] = set()
        self._read_offset = _ReadOffsets(self.app.batch_topics)

    def _new_consumer_thread(self) -> "BatchThread":
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: progress is watched by the service itself."""

    def progress(self) -> Mapping[TopicPartition, Progress]:
        """Return where each assigned partition of a batch topic stands; partitions between two lives are left out."""
        ledgers = [(tp, ledger) for tp, ledger in self._ledgers.items() if ledger.position is not None]
        return {tuple(tp): Progress(self.highwater(tp), ledger.done) for tp, ledger in ledgers}

    # Delivery

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        """Fetch once and yield messages, as long as nothing has changed under way."""
        generation = self.app.consumer_generation_id
        records, _ = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return

        def fresh() -> bool:
            return bool(self.flow_active) and generation == self.app.consumer_generation_id

        plain = {tp: found for tp, found in records.items() if not isinstance(found, Taken)}
        for tp, record in self.scheduler.iterate(plain):
            if not fresh():
                await self._give_back(records)
                return
            if tp in self._get_active_partitions() or tp in self._buffered_partitions:
                yield tp, self._to_message(tp, record)
        for tp, taken in records.items():
            if not isinstance(taken, Taken):
                continue
            if not fresh():
                await self._give_back({tp: taken})
                continue
            message = await self._admit(TP(*tp), taken)
            if message is not None:
                yield message.tp, message

    async def _give_back(self, records: Mapping[Any, Any]) -> None:
        """Have read again what a rebalance overtook: a recovery, or whoever has only this range, would wait forever."""
        for tp, found in records.items():
            if isinstance(found, Taken):
                await self._thread.give_back(TP(*tp), found.start, found.end)
            elif found:
                await self._thread.give_back(TP(*tp), found[0].offset, found[-1].offset + 1)

    async def _admit(self, tp: TP, taken: Taken) -> ConsumerMessage | None:
        ledger = self._ledgers.get(tp)
        if ledger is None:
            return None
        if not self._is_restored:
            self._skipped.add(tp)
            return None
        verdict = ledger.judge(taken.start)
        if verdict is Verdict.REWIND:
            self.log.info("Going back from %s to %s in %s/%s", taken.start, ledger.position, *tp)
            await self._thread.rewind(tp, ledger.position)
        if verdict is not Verdict.DELIVER:
            return None
        message = None if taken.batch is None else self._batch_message(tp, taken.batch)
        ledger.deliver(message, taken.end)
        return message

    def _batch_message(self, tp: TP, batch: RecordBatch) -> ConsumerMessage:
        # No headers: Faust would send an agent's answer to a topic that a header of the record names.
        at_s, generation = batch.timestamps_ms[-1] / 1000, self.app.consumer_generation_id
        return ConsumerMessage(
            *tp, batch.last_offset, at_s, 0, (), None, batch, None, 0, 0, tp, generation_id=generation
        )

    # Acks and commits

    def ack(self, message: Any) -> bool:
        """Mark a message as done."""
        if message.topic not in self.app.batch_topics:
            return bool(super().ack(message))
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
            notify(self._waiting_for_ack)
            return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from (tp for tp in super()._filter_tps_with_pending_acks(topics) if tp not in self._ledgers)
        yield from (tp for tp in self._ledgers if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        ledger = self._ledgers.get(tp)
        return super()._new_offset(tp) if ledger is None else ledger.committable

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        committed = bool(await super()._commit_offsets(offsets, start_new_transaction))
        # Faust takes what the group refused for committed, and would commit nothing before there is more.
        for tp in offsets if not committed else ():
            self._committed_offset.pop(tp, None)
        return committed

    # Rebalances and seeks: forget what was delivered, begin anew where the consumer is set to

    def _close(self) -> None:
        self._is_restored = False
        for ledger in self._ledgers.values():
            ledger.close()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the batch in work be finished and committed, then forget the rest."""
        self._is_restored = False
        await super().on_partitions_revoked(revoked)
        self._close()
        await self.app.revoked(self._batch_tps(revoked))

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Wait for the tables' recovery, which ends with a seek, before anything is delivered."""
        self.app.lease.renew()
        self._ledgers = {TP(*tp): Ledger() for tp in self._batch_tps(assigned)}
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, and tell the owner that its partitions are restored."""
        await super().perform_seek()
        await self.app.restored(self._batch_tps(self._ledgers))
        self._is_restored = True
        skipped, self._skipped = self._skipped, set()
        for tp in skipped & self._ledgers.keys():
            await self._thread.rewind(tp, self._ledgers[tp].position)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Set all partitions to their committed offsets, those without one to their beginning."""
        self._close()
        committed = dict(await super().seek_to_committed())
        fresh = [tp for tp in self._ledgers if not committed.get(tp)]
        if fresh:
            starts = await self.earliest_offsets(*fresh)
            await self.seek_wait({tp: starts[tp] for tp in fresh})
        self._reopen({tp: committed[tp] for tp in self._ledgers if tp not in fresh})
        return committed

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Set partitions to offsets, and wait until it's done."""
        await super().seek_wait(partitions)
        self._reopen(partitions)

    async def _seek(self, partition: TP, offset: int) -> None:
        await self._thread.rewind(partition, offset)
        self._reopen({partition: offset})

    def _reopen(self, partitions: Mapping[TP, int]) -> None:
        for tp in partitions.keys() & self._ledgers.keys():
            self._ledgers[tp].open(partitions[tp])

    def _batch_tps(self, tps: Any) -> frozenset[TopicPartition]:
        return frozenset(tuple(tp) for tp in tps if tp.topic in self.app.batch_topics)


class _ReadOffsets(dict[TP, int | None]):
    """Faust's read offsets; it sees none for batch topics, so it neither drops a range nor counts gaps in Python."""

    def __init__(self, hidden: Set[str]) -> None:
        super().__init__()
        self._hidden = hidden

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._hidden else self.get(tp)


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that fetches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sparse: set[aiokafka.TopicPartition] = set()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        keep_bytes()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Connect; from then on the lease lasts as long as the group hears of us."""
        await super().on_start()
        self.app.lease.follow(self._ensure_consumer()._coordinator)

    async def rewind(self, tp: TP, offset: int | None) -> None:
        """Set one partition to an offset, if it is still ours."""
        await self.call_thread(self._rewind, tp, offset)

    async def _rewind(self, tp: TP, offset: int | None) -> None:
        if offset is not None and tp in self.assignment():
            self._ensure_consumer().seek(aiokafka.TopicPartition(*tp), offset)

    async def give_back(self, tp: TP, start: int, end: int) -> None:
        """Set a partition back to `start` if it still stands at `end`, where a fetch has left it."""
        await self.call_thread(self._give_back, aiokafka.TopicPartition(*tp), start, end)

    async def _give_back(self, tp: aiokafka.TopicPartition, start: int, end: int) -> None:
        consumer = self._ensure_consumer()
        if tp in consumer.assignment():
            state = consumer._subscription.subscription.assignment.state_value(tp)
            if state.has_valid_position and state.position == end:
                consumer.seek(tp, start)

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        """Fetch what is there of a copy of the active partitions."""
        active = ensure_TPset(active_partitions or ())
        return await self.call_thread(self._fetch, self._ensure_consumer(), active, timeout)

    async def _fetch(self, consumer: aiokafka.AIOKafkaConsumer, active: set[TP], timeout_s: float) -> Any:
        if not self.consumer.flow_active or not active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise aiokafka.errors.ConsumerStoppedError()
        with fetcher._subscriptions.fetch_context():
            found = await fetch(fetcher, active, self.app.batch_topics, self._sparse, timeout_s)
        return {TP(*tp): records for tp, records in found.items()}


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with the consumer above."""

    Consumer = BatchConsumer


check_pins()
