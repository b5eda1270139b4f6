"""Ranges read straight from record batches equal what aiokafka would have returned, record by record."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.checksums import SummedRecords
from streams.fetching import Taken, take

TP = TopicPartition("events", 3)
CONTROL = 0x20
APPEND_TIME = 0x08
ATTRIBUTES_AT, CRC_AT, MAX_TIMESTAMP_AT = 21, 17, 35


def record_batch(first: int, offsets: list[int], last: int | None = None, attributes: int = 0) -> bytes:
    """Build a record batch as the broker stores it: `offsets` are its records, `last` its last offset."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    for offset in offsets:
        builder.append(offset - first, 1_000 + offset, None, b"v%d" % offset, [])
    raw = bytearray(builder.build())
    raw[0:8] = first.to_bytes(8)
    if last is not None:
        raw[23:27] = (last - first).to_bytes(4)
    raw[ATTRIBUTES_AT : ATTRIBUTES_AT + 2] = attributes.to_bytes(2)
    if attributes & APPEND_TIME:
        raw[MAX_TIMESTAMP_AT : MAX_TIMESTAMP_AT + 8] = (77).to_bytes(8)
    raw[CRC_AT : CRC_AT + 4] = crc32c(bytes(raw[ATTRIBUTES_AT:])).to_bytes(4)
    return bytes(raw)


def crc32c(data: bytes) -> int:
    from aiokafka.record.util import calc_crc32c

    return int(calc_crc32c(data))


def fetched(raw: bytes, position: int, isolation: int = READ_UNCOMMITTED) -> Any:
    records = PartitionRecords(TP, SummedRecords(raw), [], position, None, None, True, isolation)
    state = SimpleNamespace(paused=False, position=position)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)


def position(result: Any) -> int:
    return int(result._assignment.state_value(TP).position)


def all_of(result: Any, records_max: int = 10_000, sparse: set[TopicPartition] | None = None) -> list[Taken]:
    found: list[Taken] = []
    while result.has_more():
        taken = take(result, set() if sparse is None else sparse, records_max)
        if taken is not None:
            found.append(taken)
            assert position(result) == taken.end
    return found


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6), start=st.integers(0, 19), records_max=st.integers(1, 25)
)
def test_ranges_chain_and_hold_every_record_once(sizes: list[int], start: int, records_max: int) -> None:
    raw, end = b"", 0
    for size in sizes:
        raw += record_batch(end, list(range(end, end + size)))
        end += size
    start = min(start, sizes[0] - 1)

    found = all_of(fetched(raw, start), records_max)

    values = [value for taken in found if taken.batch for value in taken.batch.values]
    assert values == [b"v%d" % offset for offset in range(start, end)]
    assert [taken.start for taken in found] == [start, *(taken.end for taken in found)][:-1]
    assert found[-1].end == end
    assert all(taken.batch is None or len(taken.batch) <= records_max for taken in found)


def test_times_are_the_producers_or_the_brokers() -> None:
    (produced,) = all_of(fetched(record_batch(0, [0, 1]), 0))
    (appended,) = all_of(fetched(record_batch(0, [0, 1], attributes=APPEND_TIME), 0))

    assert produced.batch is not None
    assert list(produced.batch.timestamps_ms) == [1_000, 1_001]
    assert appended.batch is not None
    assert list(appended.batch.timestamps_ms) == [77, 77]


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_wrong_crc_is_an_error_and_moves_nothing(wrong: int) -> None:
    batches = [bytearray(record_batch(0, [0, 1])), bytearray(record_batch(2, [2]))]
    batches[wrong][-2] ^= 1
    result = fetched(b"".join(batches), 0)

    with pytest.raises(CorruptRecordException):
        take(result, set())

    assert position(result) == 0


def test_control_batches_are_skipped_and_the_position_is_after_them() -> None:
    (taken,) = all_of(fetched(record_batch(0, [0, 1]) + record_batch(2, [2], attributes=CONTROL), 0))

    assert taken.batch is not None
    assert list(taken.batch.offsets) == [0, 1]
    assert taken.end == 3


def test_a_range_of_control_batches_only_is_taken_without_records() -> None:
    assert all_of(fetched(record_batch(2, [2], attributes=CONTROL), 2)) == [Taken(2, 3, None)]


def test_a_compacted_partition_is_read_again_record_by_record() -> None:
    raw, sparse = record_batch(0, [0, 3, 4], last=6), set[TopicPartition]()
    assert all_of(fetched(raw, 0), sparse=sparse) == []

    (taken,) = all_of(fetched(raw, 0), sparse=sparse)

    assert taken.batch is not None
    assert list(taken.batch.offsets) == [0, 3, 4]
    assert taken.end == 7


def test_read_committed_falls_back_to_aiokafka() -> None:
    (taken,) = all_of(fetched(record_batch(0, [0, 1, 2]), 1, READ_COMMITTED))

    assert taken.batch is not None
    assert list(taken.batch.values) == [b"v1", b"v2"]
    assert (taken.start, taken.end) == (1, 3)


def test_a_partition_that_was_moved_meanwhile_gives_nothing() -> None:
    result = fetched(record_batch(0, [0, 1]), 0)
    result._assignment.state_value(TP).position = 5

    assert take(result, set()) is None
