"""Reads whole ranges out of aiokafka's fetcher: columns of values instead of a ConsumerRecord for each record.

It replaces `Fetcher.fetched_records` and `FetchResult.getall`, and keeps what they promise: CRCs are checked, control
batches skipped, and the partition's position is at the end of what was returned. It leans on private parts of aiokafka.
"""

import asyncio
import time
from collections.abc import Collection, Set
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult
from aiokafka.errors import CorruptRecordException
from msgspec import Struct

from streams.records import RecordBatch

RECORDS_MAX = 10_000
_REST = "_brakeline_rest"


class Taken(Struct, frozen=True):
    """What was read of a partition: offsets from `start` to before `end`; `batch` is None when no record is in it."""

    start: int
    end: int
    batch: RecordBatch | None


class _Columns(Struct):
    offsets: list[int]
    timestamps_ms: list[int]
    values: list[bytes | None]
    end: int

    def split(self, size: int) -> "_Columns":
        """Cut to `size` records and return the rest."""
        rest = _Columns(self.offsets[size:], self.timestamps_ms[size:], self.values[size:], self.end)
        del self.offsets[size:], self.timestamps_ms[size:], self.values[size:]
        self.end = self.offsets[-1] + 1
        return rest

    def taken(self, tp: aiokafka.TopicPartition, start: int) -> Taken:
        if not self.values:
            return Taken(start, self.end, None)
        batch = RecordBatch(tp.topic, tp.partition, self.offsets, self.timestamps_ms, self.values)
        return Taken(start, self.end, batch)


async def fetch(
    fetcher: Fetcher,
    partitions: Set[aiokafka.TopicPartition],
    whole: Collection[str],
    timeout_s: float,
) -> dict[aiokafka.TopicPartition, Any]:
    """Return what was fetched of `partitions`, waiting for at most `timeout_s` for the first of it.

    The value is a Taken for topics in `whole`, else a list of ConsumerRecords.
    Raises what the broker refused for good, or CorruptRecordException for records whose CRC is wrong.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        drained = _drain(fetcher, partitions, whole)
        left_s = deadline_s - time.monotonic()
        if drained or left_s <= 0:
            return drained
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=left_s)
        if not done or fetcher._closed:
            waiter.cancel()
            return {}
        waiter.result()


def _drain(fetcher: Fetcher, partitions: Set[Any], whole: Collection[str]) -> dict[aiokafka.TopicPartition, Any]:
    drained: dict[aiokafka.TopicPartition, Any] = {}
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
            found = take(result) if tp.topic in whole else result.getall(None)
        except CorruptRecordException:
            _discard(fetcher, tp)
            raise
        if not result.has_more():
            _discard(fetcher, tp)
        if found:
            drained[tp] = found
    return drained


def _discard(fetcher: Fetcher, tp: aiokafka.TopicPartition) -> None:
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)


def take(result: FetchResult, records_max: int = RECORDS_MAX) -> Taken | None:
    """Read up to `records_max` records; None when the result is used up or the partition was moved elsewhere.

    Raises CorruptRecordException when a record batch doesn't match its CRC.
    """
    tp = result._topic_partition
    if not result.check_assignment(tp) or not result.has_more():
        return None
    records = result._partition_records
    start = records.next_fetch_offset
    if records._isolation_level == READ_COMMITTED or records._key_deserializer or records._value_deserializer:
        return _take_slowly(result, start, records_max)
    columns = getattr(records, _REST, None) or _Columns([], [], [], start)
    setattr(records, _REST, None)
    while len(columns.values) < records_max and records._records.has_next():
        _append(records, columns)
    if len(columns.values) > records_max:
        setattr(records, _REST, columns.split(records_max))
    records.next_fetch_offset = columns.end
    result._update_position()
    if getattr(records, _REST) is None and not records._records.has_next():
        result._partition_records = None
    return columns.taken(tp, start)


def _append(records: Any, columns: _Columns) -> None:
    batch = records._records.next_batch()
    if records._check_crcs and not batch.validate_crc():
        raise CorruptRecordException(f"Invalid CRC - {records._tp}")
    if not batch.is_control_batch:
        found = list(batch)
        # A fetch returns whole record batches: the first may begin before the position.
        if found and found[0].offset < columns.end:
            found = [record for record in found if record.offset >= columns.end]
        columns.offsets.extend([record.offset for record in found])
        columns.timestamps_ms.extend([record.timestamp for record in found])
        columns.values.extend([record.value for record in found])
    columns.end = max(columns.end, batch.next_offset)


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
