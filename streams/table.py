"""The Faust table of the state rows: raw bytes in memory, restored from the changelog by its rules."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import faust
from faust.stores.memory import Store
from faust.types import TP

from streams.fence import Claim, Fence


class RowStore(Store):  # type: ignore[misc]
    """Rows by partition: one key may have a row in more than one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, dict[bytes, bytes]] = {}
        self.fences = defaultdict[int, Fence](Fence)
        self.positions = defaultdict[int, int](int)
        """Offsets before which the changelog is in memory."""

    def apply(self, partition: int, rows: Mapping[bytes, bytes | None], end: int) -> None:
        """Set rows; None deletes one. `end` is the offset after the last one."""
        held = self.partitions.setdefault(partition, {})
        for key, value in rows.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
        self.positions[partition] = end

    def read(self, record: Any) -> None:
        """Take in a record of the changelog, if it counts and is the next one."""
        partition, end = record.partition, record.offset + 1
        if end > self.positions[partition]:
            counts = self.fences[partition].admits(Claim.of(record.headers), (record.key,))
            self.apply(partition, {record.key: record.value} if counts else {}, end)

    def forget(self, partition: int) -> None:
        """Forget all of a partition."""
        self.partitions.pop(partition, None)
        self.fences.pop(partition, None)
        self.positions.pop(partition, None)

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Restore rows from the changelog, in its order."""
        for event in batch:
            # Faust hands on records of a partition that was lost meanwhile to whichever table came before.
            if event.message.topic == self.table.changelog_topic_name:
                self.read(event.message)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the partitions that others own."""
        owned = {tp.partition for tp in active_tps}
        for partition in self.partitions.keys() - owned:
            self.forget(partition)


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
                self.data.forget(tp.partition)
                self.app.tables.recovery.active_offsets.pop(tp, None)

    def owned(self) -> list[int]:
        """Return the partitions that are ours."""
        active = self.app.tables.recovery.active_tps
        return sorted(tp.partition for tp in active if tp.topic == self.changelog_topic_name)

    def applied(self, partition: int, offset: int) -> None:
        """Note that the changelog is in memory up to an offset, so that a rebalance reads only what comes after."""
        offsets, tp = self.app.tables.recovery.active_offsets, TP(self.changelog_topic_name, partition)
        if offsets.get(tp) is not None:
            offsets[tp] = max(offsets[tp], offset)
