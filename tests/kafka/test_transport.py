"""Seeks, headers and progress, with the app inside the test's own loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from faust.types import TP
from kafka_workers import Group
from waiting import until

from streams.fetching import RECORDS_MAX
from streams.ledger import Progress
from streams.records import RecordBatch
from streams.state import StateRows
from streams.topics import TopicSpec, ensure_topics
from streams.transport import BatchThread
from streams.worker import BatchApp, WorkerError, make_app, on_batches, run

pytestmark = [
    pytest.mark.kafka,
]


@asynccontextmanager
async def running(app: BatchApp) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.ensure_future(run(app, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_after_a_seek_the_range_is_delivered_again_and_its_commit_goes_on(kafka: str) -> None:
    async with Group(kafka, partitions=2) as group:
        seen: list[tuple[int, int]] = []

        async def note(batch: RecordBatch) -> None:
            seen.append((batch.partition, batch.offsets[0]))

        async def all_done() -> bool:
            return app.progress().get((group.topic, 0)) == Progress(1_000, 1_000)

        app = make_app(group.group, group.client, commit_s=0.2)
        on_batches(app, group.topic, note)
        await group.produce(2_000)
        async with running(app):
            await until(all_done)
            before = seen.count((0, 0))
            await app.consumer.seek(TP(group.topic, 0), 0)

            async def again() -> bool:
                return seen.count((0, 0)) == before + 1 and await all_done()

            await until(again)
            await group.produce(2_000)
            await until(group.all_committed)


async def test_a_range_fetched_before_the_consumer_is_set_back_is_not_delivered_after_it(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's own bookkeeping then takes what is read again for old, and the partition's commits stand still."""
    async with Group(kafka, partitions=1) as group:
        held, go_on, fetches = asyncio.Event(), asyncio.Event(), 0
        getmany = BatchThread.getmany

        async def getmany_holding_the_second(self: BatchThread, active: set[TP], timeout: float) -> object:  # noqa: ASYNC109
            nonlocal fetches
            found = await getmany(self, active, timeout)
            fetches += bool(found)
            if fetches == 2 and not held.is_set():
                held.set()
                await go_on.wait()
            return found

        monkeypatch.setattr(BatchThread, "getmany", getmany_holding_the_second)
        seen: list[int] = []

        async def note(batch: RecordBatch) -> None:
            seen.extend(batch.offsets)

        app = make_app(group.group, group.client, commit_s=60)
        on_batches(app, group.topic, note)
        await group.produce(25_000)
        async with running(app):
            await asyncio.wait_for(held.wait(), 30)
            await app.consumer.perform_seek()
            go_on.set()

            async def all_done() -> bool:
                return app.progress()[(group.topic, 0)] == Progress(25_000, 25_000)

            await until(all_done, 20)
        assert await group.committed() == [25_000]
        assert seen == [*range(RECORDS_MAX), *range(25_000)]


async def test_what_is_fetched_before_its_owner_is_ready_is_read_again(kafka: str) -> None:
    """Only an app that restores state fetches so early."""
    async with Group(kafka, partitions=1) as group:
        seen: list[int] = []

        async def note(batch: RecordBatch) -> None:
            seen.extend(batch.offsets)

        async def wait_until_fetched(_: object) -> None:
            async def fetched() -> bool:
                return await app.consumer._thread.position(TP(group.topic, 0)) == sum(group.sent)

            await until(fetched, 20)

        for number in (1, 2):
            app = make_app(
                group.group, group.client, commit_s=0.2, on_restored=wait_until_fetched if number == 2 else None
            )
            rows = StateRows(app, 1, group.client)
            on_batches(app, group.topic, note)
            await rows.start()
            await group.produce(100)
            async with running(app):
                await until(group.all_committed, 20)
            await rows.stop()
        assert seen == [*range(200)]


async def test_what_is_delivered_just_before_the_flow_resumes_is_handled(kafka: str) -> None:
    """The end of a recovery resumes it once its owner is ready: a batch may be on its way to the handler then."""
    async with Group(kafka, partitions=1) as group:
        app = make_app(group.group, group.client, commit_s=0.2)
        on_batches(app, group.topic, ignore)
        deliver = app.consumer.callback

        async def deliver_and_resume(message: object) -> None:
            await deliver(message)
            app.flow_control.resume()

        app.consumer.callback = deliver_and_resume
        await group.produce(100)
        async with running(app):
            await until(group.all_committed, 20)


async def test_a_commit_that_the_group_refuses_is_tried_again(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        app = make_app(group.group, group.client, commit_s=0.2)
        on_batches(app, group.topic, ignore)
        commit, refused = app.consumer._commit, list[object]()

        async def refuse_once(offsets: object) -> bool:
            if not refused:
                refused.append(offsets)
                return False
            return bool(await commit(offsets))

        app.consumer._commit = refuse_once
        await group.produce(100)
        async with running(app):
            await until(group.all_committed, 20)
        assert refused == [{(group.topic, 0): 100}]


async def test_a_reply_to_header_writes_nowhere(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        got: list[bytes | None] = []

        async def note(batch: RecordBatch) -> None:
            got.extend(batch.values)

        victim = f"{group.group}.victim"
        await ensure_topics(group.client, [TopicSpec(victim)])
        headers = [("Faust-Ag-ReplyTo", victim.encode()), ("Faust-Ag-CorrelationId", b"1")]
        await group.producer.send_and_wait(group.topic, b"event", headers=headers)
        group.sent = [1]
        app = make_app(group.group, group.client, commit_s=0.2)
        on_batches(app, group.topic, note)
        async with running(app):
            await until(group.all_committed)

        assert got == [b"event"]
        assert await group.end_of(victim) == 0


async def test_two_topics_reach_their_own_handlers(kafka: str) -> None:
    async with Group(kafka, partitions=2) as group:
        other, got = f"{group.group}.decisions", dict[str, int]()

        def count(batch: RecordBatch) -> None:
            got[batch.topic] = got.get(batch.topic, 0) + len(batch)

        async def event(batch: RecordBatch) -> None:
            count(batch)

        async def decision(batch: RecordBatch) -> None:
            count(batch)

        async def all_seen() -> bool:
            return got == {group.topic: 10, other: 1}

        await ensure_topics(group.client, [TopicSpec(other)])
        await group.produce(10)
        await group.producer.send_and_wait(other, b"decision")
        app = make_app(group.group, group.client)
        rows = StateRows(app, 2, group.client)
        on_batches(app, group.topic, event)
        on_batches(app, other, decision)
        await rows.start()
        async with running(app):
            await until(all_seen)
        await rows.stop()
        assert rows.rows_of(0) == {}


async def test_a_deleted_row_stays_deleted_after_a_restart(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:
        restored: list[dict[bytes, bytes]] = []
        for written in ({b"a": b"1", b"b": b"2"}, {b"a": None, b"b": b"3"}, {}):

            async def note(_: object) -> None:
                restored.append(dict(rows.rows_of(0)))  # noqa: B023

            async def known(count: int = len(restored) + 1) -> bool:
                return len(restored) == count

            app = make_app(group.group, group.client, on_restored=note)
            rows = StateRows(app, 1, group.client)
            on_batches(app, group.topic, ignore)
            await rows.start()
            async with running(app):
                await until(known)
                await rows.write(0, written)
            await rows.stop()

        assert restored == [{}, {b"a": b"1", b"b": b"2"}, {b"b": b"3"}]


async def test_a_failing_handler_ends_the_run_without_an_ack(kafka: str) -> None:
    async with Group(kafka, partitions=1) as group:

        async def refuse(_: RecordBatch) -> None:
            raise ConnectionError("the broker did not take the rows")

        app = make_app(group.group, group.client)
        on_batches(app, group.topic, refuse)
        await group.produce(10)

        with pytest.raises(WorkerError, match="did not take the rows"):
            await asyncio.wait_for(run(app, asyncio.Event()), 30)

        assert await group.committed() == [0]


async def ignore(_: RecordBatch) -> None:
    """Do nothing with it."""
