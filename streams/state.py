"""The state rows: a Faust table of raw bytes, partitioned as the events are, whose writes are awaited.

Faust's own table writes are fire and forget: a failed one is swallowed and the offset that caused it is committed all
the same. Here a batch's rows go to the table's changelog through an idempotent producer of ours, and are in memory only
when the broker has acknowledged them. Recovery is Faust's.

A partition is claimed when it was restored (see fence.py). From then on each write must land where the last one ended;
where it doesn't, another worker wrote: one that has lost the partition, whose rows are mended, or its new owner.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams import fence, journal, slices
from streams.fence import Claim, Fence
from streams.table import StateTable
from streams.worker import BatchApp

DELIVERY_S = 30.0
REASSURE_S = 600.0
WRITE_BYTES_MAX = 900 * 1024
"""One atomic write; Kafka takes batches of 1 MiB if not told otherwise."""
HEADER_BYTES = 1024


log = logging.getLogger(__name__)


class StateWriteError(Exception):
    """Rows weren't acknowledged in time: the process has to end before it acks the batch that caused them."""


class FencedError(StateWriteError):
    """Another worker owns the partition now: nothing that is decided here counts any more."""


def changelog_of(app_id: str, name: str = "state") -> str:
    """Return the name that Faust gives the table's changelog."""
    return f"{app_id}-{name}-changelog"


class StateRows:
    """The rows of the partitions that this worker owns.

    Usage: `rows_of` when a partition was restored, `write` after every batch; the batch is acked when `write` returns.
    """

    def __init__(
        self,
        app: BatchApp,
        partitions: int,
        client: Mapping[str, Any],
        name: str = "state",
        delivery_s: float = DELIVERY_S,
    ) -> None:
        """`client` are the arguments of any aiokafka client."""
        self._table = app.tables.add(
            StateTable(app, name=name, partitions=partitions, key_type=bytes, value_type=bytes)
        )
        app.owners.append(self)
        self._lease = app.lease
        self._options = dict(client)
        self._delivery_s = delivery_s
        self._producer: AIOKafkaProducer | None = None
        self._claims: dict[int, Claim] = {}
        # The events' and the teams' rows of a partition are written by two tasks; the journal holds one write.
        self._turns = defaultdict[int, asyncio.Lock](asyncio.Lock)

    @property
    def topic(self) -> str:
        """Name of the changelog."""
        return str(self._table.changelog_topic_name)

    async def start(self) -> None:
        """Connect the producer."""
        self._producer = AIOKafkaProducer(
            enable_idempotence=True, acks="all", max_batch_size=WRITE_BYTES_MAX + HEADER_BYTES, **self._options
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Close the producer; nothing is in flight, since every write was awaited."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    def rows_of(self, partition: int) -> Mapping[bytes, bytes]:
        """Return a partition's rows; complete once the partition was restored."""
        rows = slices.joined(journal.resolved(self._held(partition)))
        rows.pop(fence.KEY, None)
        return rows

    def _held(self, partition: int) -> Mapping[bytes, bytes]:
        found: Mapping[bytes, bytes] = self._table.data.partitions.get(partition, {})
        return found

    async def write(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Write rows (None deletes one), all or none, and return when they are acknowledged.

        Raises StateWriteError when one isn't within the delivery deadline; then none of them is in memory.
        Raises FencedError when another worker has the partition.
        """
        if rows:
            async with self._in_turn(partition):
                await self._settle(partition)
                for some in journal.writes(slices.cut(rows, self._held(partition)), WRITE_BYTES_MAX):
                    await self._place(partition, some)
                await self._mend(partition)

    async def keep(self) -> None:
        """Reassure now and then, until cancelled."""
        while True:
            await asyncio.sleep(REASSURE_S)
            await self.reassure()

    async def reassure(self) -> None:
        """Write the claims again: of a partition that gets no writes, this shows whether another worker wrote there.

        Raises as `write` does.
        """
        for partition, claim in list(self._claims.items()):
            await self.write(partition, {fence.KEY: claim.encode()})

    @asynccontextmanager
    async def _in_turn(self, partition: int) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._delivery_s), self._turns[partition]:
                yield
        except TimeoutError:
            raise StateWriteError(
                f"state of partition {partition} not acknowledged in {self._delivery_s:.0f} s"
            ) from None
        except KafkaError as error:
            raise StateWriteError(f"state of partition {partition} not written: {error}") from error

    # Claims

    async def claim(self) -> None:
        """Become the owner of the partitions that were restored, each from a place in its changelog on."""
        await asyncio.gather(*map(self._claim, self._table.owned()))

    def release(self) -> None:
        """Write nothing more until the next claim."""
        self._claims.clear()

    async def _claim(self, partition: int) -> None:
        async with self._in_turn(partition):
            claim = Claim.after(self._fence(partition).owner, secrets.token_bytes(4))
            self._claims[partition] = claim
            await self._place(partition, {fence.KEY: claim.encode()})
            await self._mend(partition)

    def _fence(self, partition: int) -> Fence:
        found: Fence = self._table.data.fences[partition]
        return found

    async def _settle(self, partition: int) -> None:
        """Put what a crash left in the journal in its place, before anything newer is written."""
        for some in journal.unfinished(self._held(partition)):
            await self._place(partition, some)

    async def _mend(self, partition: int) -> None:
        """Write again what another worker has written over, which isn't the owner any more."""
        stale = self._fence(partition).stale
        if stale:
            log.warning("Another worker wrote %d rows of partition %d that it had lost: mended", len(stale), partition)
            held = self._held(partition)
            for some in journal.parts({key: held.get(key) for key in sorted(stale)}, WRITE_BYTES_MAX):
                await self._place(partition, some)

    async def _place(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Write rows in one atomic batch; when it is acknowledged and counts, they are in memory."""
        claim, data = self._claims.get(partition), self._table.data
        if claim is None:
            raise FencedError(f"partition {partition} is not ours: it isn't restored yet, or was lost")
        first = await self._send(partition, rows, claim)
        if first != data.positions[partition]:
            await self._read_until(partition, first)
        if not self._fence(partition).admits(claim, rows):
            raise FencedError(f"another worker has taken partition {partition} over")
        end = first + len(rows)
        data.apply(partition, rows, end)
        self._table.applied(partition, end - 1)

    async def _send(self, partition: int, rows: Mapping[bytes, bytes | None], claim: Claim) -> int:
        """Send rows in one batch, which is atomic, and ten times as fast as one by one; return the first offset."""
        producer = self._producer
        if producer is None:
            raise StateWriteError("the producer of the state isn't started")
        builder, headers = producer.create_batch(), [(fence.HEADER, claim.encode())]
        for key, value in rows.items():
            if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise StateWriteError(f"{len(rows)} rows don't fit into one write")
        self._lease.check()
        sent = await producer.send_batch(builder, self.topic, partition=partition)
        return int((await sent).offset)

    async def _read_until(self, partition: int, end: int) -> None:
        """Take in what others have written into the changelog since we last did."""
        tp, data = TopicPartition(self.topic, partition), self._table.data
        consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **self._options)
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, data.positions[partition])
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                    if record.offset < end:
                        data.read(record)
        finally:
            await consumer.stop()
