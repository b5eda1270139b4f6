"""State rows that don't fit into one record batch, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kafka_workers import Group, read_records
from waiting import until

from streams.fence import HEADER, KEY, NOBODY, Claim
from streams.journal import writes
from streams.records import RecordBatch
from streams.state import WRITE_BYTES_MAX, FencedError, StateRows
from streams.worker import make_app, on_batches, run

pytestmark = pytest.mark.kafka
MANY = {b"a:%d" % n: b"%d" % n * 500 for n in range(2_000)}


async def test_rows_of_megabytes_are_restored(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, {b"a:0": b"old", b"gone": b"old"})
            await rows.write(0, {**MANY, b"gone": None})
            assert rows.rows_of(0) == MANY

        async with restored(group) as rows:
            assert rows.rows_of(0) == MANY


async def test_a_row_that_no_record_can_hold_is_restored_and_shrinks_again(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, {b"a": b"x" * 3_000_000, b"b": b"y"})
            assert rows.rows_of(0) == {b"a": b"x" * 3_000_000, b"b": b"y"}

        async with restored(group) as rows:
            assert rows.rows_of(0) == {b"a": b"x" * 3_000_000, b"b": b"y"}
            await rows.write(0, {b"a": b"x" * 300_000})

        async with restored(group) as rows:
            assert rows.rows_of(0) == {b"a": b"x" * 300_000, b"b": b"y"}
            await rows.write(0, {b"a": None})

        async with restored(group) as rows:
            assert rows.rows_of(0) == {b"b": b"y"}


@pytest.mark.parametrize("valid", [False, True])
async def test_a_write_that_a_crash_cut_off_is_there_whole_or_not_at_all(kafka: str, valid: bool) -> None:
    old = {b"a:0": b"old", b"b:0": b"old"}
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, old)
            steps = list(writes(MANY, WRITE_BYTES_MAX))
            kept = len(steps) // 2 if valid else len(steps) // 2 - 1
            for step in steps[:kept]:
                await write_as(group, rows, rows._claims[0], step)

        async with restored(group) as rows:
            wanted = {**old, **MANY} if valid else old
            assert rows.rows_of(0) == wanted
            await rows.write(0, {b"b:0": b"new"})

        async with restored(group) as rows:
            assert rows.rows_of(0) == {**wanted, b"b:0": b"new"}


OLD, NEW = {b"a": b"1", b"b": b"1"}, {b"a": b"2"}


async def test_rows_of_an_earlier_owner_do_not_count_and_are_mended_by_the_next_write(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group, restored(group) as rows:
        await rows.write(0, OLD)
        await write_as(group, rows, NOBODY, {b"a": b"stale", b"b": None, b"c": b"stale"})

        await rows.write(0, NEW)

        assert rows.rows_of(0) == {**OLD, **NEW} == await in_the_log(group, rows)


async def test_an_owner_that_has_nothing_to_write_mends_as_well(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group, restored(group) as rows:
        await rows.write(0, OLD)
        await write_as(group, rows, NOBODY, {b"a": b"stale"})

        await rows.reassure()

        assert await in_the_log(group, rows) == OLD


async def test_rows_that_nobody_mended_are_by_the_next_owner(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, OLD)
            await write_as(group, rows, NOBODY, {b"a": b"stale", b"c": b"stale"})

        async with restored(group) as rows:
            assert rows.rows_of(0) == OLD == await in_the_log(group, rows)


async def test_an_owner_that_was_outranked_writes_nothing_that_counts(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, OLD)
            await write_as(group, rows, Claim.after(rows._claims[0], b"else"), NEW)

            with pytest.raises(FencedError):
                await rows.write(0, {b"b": b"too late"})

        async with restored(group) as rows:
            assert rows.rows_of(0) == {**OLD, **NEW} == await in_the_log(group, rows)


async def test_of_two_that_claim_at_once_the_first_in_the_log_owns_it(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group, restored(group) as rows:
        rival = Claim(rows._claims[0].number, b"late")
        await write_as(group, rows, rival, {KEY: rival.encode(), b"a": b"rival's"})

        await rows.write(0, OLD)

        assert await in_the_log(group, rows) == OLD


async def test_what_was_written_between_the_restore_and_the_claim_counts(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, OLD)
            before = rows._claims[0]
        claim = StateRows.claim

        async def claim_late(self: StateRows) -> Any:
            await write_as(group, self, before, NEW)
            return await claim(self)

        monkeypatch.setattr(StateRows, "claim", claim_late)
        async with restored(group) as rows:
            assert rows.rows_of(0) == {**OLD, **NEW}


async def write_as(group: Group, rows: StateRows, claim: Claim, some: Mapping[bytes, bytes | None]) -> None:
    """Write rows of partition 0 as a worker that has this claim would."""
    for key, value in some.items():
        await group.producer.send_and_wait(rows.topic, value, key, 0, headers=[(HEADER, claim.encode())])


async def in_the_log(group: Group, rows: StateRows) -> dict[bytes, bytes]:
    """Return what is left of the changelog once it is compacted: the last row of each key."""
    found = await read_records(group.client, rows.topic, 1)
    last = {record.key: record.value for record in found if record.key != KEY}
    return {key: value for key, value in last.items() if value is not None}


@asynccontextmanager
async def restored(group: Group) -> AsyncIterator[StateRows]:
    """Run an app until its rows are restored, and end it at the end."""
    ready, stop = asyncio.Event(), asyncio.Event()

    async def note(_: object) -> None:
        ready.set()

    async def ignore(_: RecordBatch) -> None:
        """Do nothing with it."""

    async def is_ready() -> bool:
        return ready.is_set()

    app = make_app(group.group, group.client, on_restored=note)
    rows = StateRows(app, 1, group.client)
    on_batches(app, group.topic, ignore)
    await rows.start()
    running = asyncio.ensure_future(run(app, stop))
    try:
        await until(is_ready)
        yield rows
    finally:
        stop.set()
        await running
        await rows.stop()
