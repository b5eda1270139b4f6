"""The state rows: a Faust table of raw bytes, partitioned as the events are, whose writes are awaited.

Faust's own table writes are fire and forget: a failed one is swallowed and the offset that caused it is committed all
the same. Here a batch's rows go to the table's changelog through an idempotent producer of ours, and are in memory only
when the broker has acknowledged them. Recovery is Faust's.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.stores.memory import Store
from faust.types import TP

from streams import journal

DELIVERY_S = 30.0
WRITE_BYTES_MAX = 900 * 1024
"""One atomic write; Kafka takes batches of 1 MiB if not told otherwise."""
HEADER_BYTES = 1024


class StateWriteError(Exception):
    """Rows weren't acknowledged in time: the process has to end before it acks the batch that caused them."""


def changelog_of(app_id: str, name: str = "state") -> str:
    """Return the name that Faust gives the table's changelog."""
    return f"{app_id}-{name}-changelog"


class RowStore(Store):  # type: ignore[misc]
    """Rows by partition: one key may have a row in more than one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, dict[bytes, bytes]] = {}

    def apply(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Set rows; None deletes one."""
        held = self.partitions.setdefault(partition, {})
        for key, value in rows.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Restore rows from the changelog, in its order."""
        for event in batch:
            self.apply(event.message.partition, {event.message.key: event.message.value})

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the partitions that others own."""
        owned = {tp.partition for tp in active_tps}
        for partition in self.partitions.keys() - owned:
            del self.partitions[partition]


class StateTable(faust.Table):  # type: ignore[misc]
    """A table that is read whole, a partition at a time, when a partition's engine is built."""

    def _new_store(self) -> RowStore:
        return RowStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Restore a partition that comes (back) to us from scratch: another worker may have deleted rows meanwhile."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        for tp in newly_assigned:
            if tp.topic == self.changelog_topic_name:
                self.data.partitions.pop(tp.partition, None)
                self.app.tables.recovery.active_offsets.pop(tp, None)

    def applied(self, tp: TP, offset: int) -> None:
        """Note that the changelog is in memory up to an offset, so that a rebalance reads only what comes after."""
        offsets = self.app.tables.recovery.active_offsets
        if offsets.get(tp) is not None:
            offsets[tp] = max(offsets[tp], offset)


class StateRows:
    """The rows of the partitions that this worker owns.

    Usage: `rows_of` when a partition was restored, `write` after every batch; the batch is acked when `write` returns.
    """

    def __init__(
        self,
        app: faust.App,
        partitions: int,
        client: Mapping[str, Any],
        name: str = "state",
        delivery_s: float = DELIVERY_S,
    ) -> None:
        """`client` are the arguments of any aiokafka client."""
        self._table = app.tables.add(
            StateTable(app, name=name, partitions=partitions, key_type=bytes, value_type=bytes)
        )
        self._options = dict(client)
        self._delivery_s = delivery_s
        self._producer: AIOKafkaProducer | None = None
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
        return journal.resolved(self._held(partition))

    def _held(self, partition: int) -> Mapping[bytes, bytes]:
        found: Mapping[bytes, bytes] = self._table.data.partitions.get(partition, {})
        return found

    async def write(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Write rows (None deletes one), all or none, and return when they are acknowledged.

        Raises StateWriteError when one isn't within the delivery deadline; then none of them is in memory.
        """
        if not rows:
            return
        try:
            async with asyncio.timeout(self._delivery_s), self._turns[partition]:
                await self._settle(partition)
                for some in journal.writes(rows, WRITE_BYTES_MAX):
                    end = await self._send(partition, some)
        except TimeoutError:
            raise StateWriteError(
                f"state of partition {partition} not acknowledged in {self._delivery_s:.0f} s"
            ) from None
        except KafkaError as error:
            raise StateWriteError(f"state of partition {partition} not written: {error}") from error
        self._table.data.apply(partition, rows)
        self._table.applied(TP(self.topic, partition), end)

    async def _settle(self, partition: int) -> None:
        """Put what a crash left in the journal in its place, before anything newer is written."""
        for some in journal.unfinished(self._held(partition)):
            end = await self._send(partition, some)
            self._table.data.apply(partition, some)
            self._table.applied(TP(self.topic, partition), end)

    async def _send(self, partition: int, rows: Mapping[bytes, bytes | None]) -> int:
        """Send rows in one batch, which is atomic, and ten times as fast as one by one; return the last offset."""
        producer = self._producer
        if producer is None:
            raise StateWriteError("the producer of the state isn't started")
        builder = producer.create_batch()
        for key, value in rows.items():
            if builder.append(key=key, value=value, timestamp=None) is None:
                raise StateWriteError(f"{len(rows)} rows don't fit into one write")
        sent = await producer.send_batch(builder, self.topic, partition=partition)
        return int((await sent).offset + len(rows) - 1)
