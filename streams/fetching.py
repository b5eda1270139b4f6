"""Reads whole ranges out of aiokafka's fetcher: columns of values instead of a ConsumerRecord for each record.

It replaces `Fetcher.fetched_records` and `FetchResult.getall`, and keeps what they promise: CRCs are checked, control
batches skipped, and the partition's position is at the end of what was returned. It leans on private parts of aiokafka,
and on `checksums.keep_bytes` before a consumer fetches.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Collection, Sequence, Set
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult
from aiokafka.errors import CorruptRecordException
from msgspec import Struct

from streams.records import RecordBatch, followed

RECORDS_MAX = 15_000
APPEND_TIME = 1
_REST = "_brakeline_rest"
_Read = tuple[Sequence[int], list[int], list[bytes | None]]


class Taken(Struct, frozen=True):
    """What was read of a partition: offsets from `start` to before `end`; `batch` is None when no record is in it."""

    start: int
    end: int
    batch: RecordBatch | None


class _SparseError(Exception):
    """A record batch has fewer records than offsets."""


class _Columns(Struct):
    offsets: Sequence[int]
    timestamps_ms: list[int]
    values: list[bytes | None]
    end: int

    def split(self, size: int) -> "_Columns":
        """Cut to `size` records and return the rest."""
        rest = _Columns(self.offsets[size:], self.timestamps_ms[size:], self.values[size:], self.end)
        self.offsets = self.offsets[:size]
        del self.timestamps_ms[size:], self.values[size:]
        self.end = self.offsets[-1] + 1
        return rest

    def taken(self, tp: TopicPartition, start: int) -> Taken:
        if not self.values:
            return Taken(start, self.end, None)
        batch = RecordBatch(tp.topic, tp.partition, self.offsets, self.timestamps_ms, self.values)
        return Taken(start, self.end, batch)


async def fetch(
    fetcher: Fetcher,
    partitions: Set[TopicPartition],
    whole: Collection[str],
    sparse: set[TopicPartition],
    timeout_s: float,
) -> dict[TopicPartition, Any]:
    """Return what was fetched of `partitions`, waiting for at most `timeout_s` for the first of it.

    The value is a Taken for topics in `whole`, else a list of ConsumerRecords. `sparse` is kept between calls.
    Raises what the broker refused for good, or CorruptRecordException for records whose CRC is wrong.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        drained = _drain(fetcher, partitions, whole, sparse)
        left_s = deadline_s - time.monotonic()
        if drained or left_s <= 0:
            return drained
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=left_s)
        if not done or fetcher._closed:
            waiter.cancel()
            return {}
        waiter.result()


def _drain(
    fetcher: Fetcher, partitions: Set[Any], whole: Collection[str], sparse: set[TopicPartition]
) -> dict[TopicPartition, Any]:
    drained: dict[TopicPartition, Any] = {}
    for tp in list(fetcher._records):
        if tp not in partitions:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        result = fetcher._records[tp]
        if type(result) is not FetchResult:
            if drained:
                break
            _discard(fetcher, tp)
            result.check_raise()
            continue
        try:
            found = take(result, sparse) if tp.topic in whole else result.getall(None)
        except CorruptRecordException:
            _discard(fetcher, tp)
            raise
        if not result.has_more():
            _discard(fetcher, tp)
        if found:
            drained[tp] = found
    return drained


def _discard(fetcher: Fetcher, tp: TopicPartition) -> None:
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)


def take(result: FetchResult, sparse: set[TopicPartition], records_max: int = RECORDS_MAX) -> Taken | None:
    """Read up to `records_max` records; None when the result is used up or the partition was moved elsewhere.

    A partition that turns out to have gaps (it is compacted) is added to `sparse`, and read record by record when it is
    fetched again.

    Raises CorruptRecordException when a record batch doesn't match its CRC.
    """
    tp = result._topic_partition
    if not result.check_assignment(tp) or not result.has_more():
        return None
    records = result._partition_records
    start = records.next_fetch_offset
    if records._isolation_level == READ_COMMITTED or records._key_deserializer or records._value_deserializer:
        return _take_slowly(result, start, records_max)
    columns = getattr(records, _REST, None) or _Columns(range(start, start), [], [], start)
    setattr(records, _REST, None)
    try:
        while len(columns.values) < records_max and records._records.has_next():
            _append(records, columns, tp in sparse)
    except _SparseError:
        sparse.add(tp)
        result._partition_records = None
        return None
    if len(columns.values) > records_max:
        setattr(records, _REST, columns.split(records_max))
    records.next_fetch_offset = columns.end
    result._update_position()
    if getattr(records, _REST) is None and not records._records.has_next():
        result._partition_records = None
    return columns.taken(tp, start)


def _append(records: Any, columns: _Columns, sparse: bool) -> None:
    batch = records._records.next_batch()
    if records._check_crcs and not records._records.intact(batch):
        raise CorruptRecordException(f"Invalid CRC - {records._tp}")
    if not batch.is_control_batch:
        read = _read_each if sparse or getattr(batch, "magic", 0) < 2 else _read_dense
        offsets, timestamps_ms, values = read(batch)
        # A fetch returns whole record batches: the first may begin before the position.
        skipped = bisect_left(offsets, columns.end)
        if skipped:
            offsets, timestamps_ms, values = offsets[skipped:], timestamps_ms[skipped:], values[skipped:]
        columns.offsets = followed(columns.offsets, offsets)
        columns.timestamps_ms += timestamps_ms
        columns.values += values
    columns.end = max(columns.end, batch.next_offset)


def _read_dense(batch: Any) -> _Read:
    """Read a batch that has a record at every offset, which leaves only the values to be touched one by one.

    A record that is let go at once leaves its memory to the next one: that halves the time.
    """
    timestamps_ms: list[int] = []
    if batch.timestamp_type == APPEND_TIME:
        values = [record.value for record in batch]
        timestamps_ms = [batch.max_timestamp] * len(values)
    else:
        values = []
        for record in batch:
            timestamps_ms.append(record.timestamp)
            values.append(record.value)
    if len(values) != batch.next_offset - batch.base_offset:
        raise _SparseError
    return range(batch.base_offset, batch.next_offset), timestamps_ms, values


def _read_each(batch: Any) -> _Read:
    found = list(batch)
    return (
        [record.offset for record in found],
        [record.timestamp for record in found],
        [record.value for record in found],
    )


def _take_slowly(result: FetchResult, start: int, records_max: int) -> Taken:
    records = result._partition_records
    found = result.getall(records_max)
    columns = _Columns(
        [record.offset for record in found],
        [record.timestamp for record in found],
        [record.value for record in found],
        records.next_fetch_offset,
    )
    return columns.taken(result._topic_partition, start)
