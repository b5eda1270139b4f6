"""State rows that don't fit into one record batch, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from kafka_workers import Group, until

from streams.journal import writes
from streams.records import RecordBatch
from streams.state import WRITE_BYTES_MAX, StateRows
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


@pytest.mark.parametrize("valid", [False, True])
async def test_a_write_that_a_crash_cut_off_is_there_whole_or_not_at_all(kafka: str, valid: bool) -> None:
    old = {b"a:0": b"old", b"b:0": b"old"}
    async with Group(kafka, partitions=1) as group:
        async with restored(group) as rows:
            await rows.write(0, old)
            steps = list(writes(MANY, WRITE_BYTES_MAX))
            kept = len(steps) // 2 if valid else len(steps) // 2 - 1
            for step in steps[:kept]:
                for key, value in step.items():
                    await group.producer.send_and_wait(rows.topic, value, key)

        async with restored(group) as rows:
            wanted = {**old, **MANY} if valid else old
            assert rows.rows_of(0) == wanted
            await rows.write(0, {b"b:0": b"new"})

        async with restored(group) as rows:
            assert rows.rows_of(0) == {**wanted, b"b:0": b"new"}


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
