"""Lanes: order within a partition, no waiting across partitions, nothing done after a failure."""

import asyncio
from typing import Any

from msgspec import Struct

from streams.lanes import Lanes, joined
from streams.records import RecordBatch


class Message(Struct):
    value: RecordBatch


def message(partition: int, first: int, records: int = 1) -> Message:
    offsets = list(range(first, first + records))
    return Message(RecordBatch("t", partition, offsets, [0] * records, [b"v"] * records))


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_partition_that_waits_holds_up_no_other() -> None:
    gate = asyncio.Event()
    done: list[Any] = []

    async def handle(batch: RecordBatch) -> None:
        if batch.partition == 0:
            await gate.wait()

    lanes = Lanes(handle, done=done.append, failed=lambda _error: None)
    slow, quick = message(0, 0), message(1, 0)
    await lanes.put(slow)
    await lanes.put(quick)
    await until(lambda: done == [quick])
    gate.set()
    await until(lambda: done == [quick, slow])


async def test_what_waits_in_a_partition_is_handled_as_one_batch_in_order() -> None:
    gate = asyncio.Event()
    seen: list[list[int]] = []
    done: list[Any] = []

    async def handle(batch: RecordBatch) -> None:
        seen.append(list(batch.offsets))
        await gate.wait()

    lanes = Lanes(handle, done=done.append, failed=lambda _error: None)
    messages = [message(0, first, 2) for first in (0, 2, 4)]
    await lanes.put(messages[0])
    await until(lambda: seen)
    for each in messages[1:]:
        await lanes.put(each)
    gate.set()
    await until(lambda: done == messages)

    assert seen == [[0, 1], [2, 3, 4, 5]]


async def test_nothing_is_done_after_a_failure() -> None:
    gate = asyncio.Event()
    done: list[Any] = []
    failures: list[Exception] = []

    async def handle(batch: RecordBatch) -> None:
        if batch.partition == 0:
            raise ValueError("bad")
        await gate.wait()

    lanes = Lanes(handle, done=done.append, failed=failures.append)
    await lanes.put(message(1, 0))
    await lanes.put(message(0, 0))
    await until(lambda: failures)
    gate.set()
    await lanes.put(message(2, 0))
    for _ in range(10):
        await asyncio.sleep(0)

    assert done == []
    assert len(failures) == 1


async def test_what_is_stale_when_its_turn_comes_is_dropped() -> None:
    seen: list[int] = []

    async def handle(batch: RecordBatch) -> None:
        seen.extend(batch.offsets)

    done: list[Any] = []
    stale, fresh = message(0, 0), message(0, 1)
    lanes = Lanes(handle, done=done.append, failed=lambda _error: None, fresh=lambda each: each is fresh)
    await lanes.put(stale)
    await lanes.put(fresh)
    await until(lambda: done == [fresh])

    assert seen == [1]


async def test_too_much_waiting_stops_the_intake() -> None:
    gate = asyncio.Event()

    async def handle(_batch: RecordBatch) -> None:
        await gate.wait()

    lanes = Lanes(handle, done=lambda _message: None, failed=lambda _error: None)

    async def fill() -> None:
        for first in range(1000):
            await lanes.put(message(0, first))

    filling = asyncio.create_task(fill())
    for _ in range(2000):
        await asyncio.sleep(0)

    assert not filling.done()
    gate.set()
    await asyncio.wait_for(filling, 5)


def test_joined_batches_keep_every_record() -> None:
    whole = joined([message(3, 0, 2).value, message(3, 5, 1).value])

    assert (whole.partition, list(whole.offsets), len(whole)) == (3, [0, 1, 5], 3)
