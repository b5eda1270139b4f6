"""Batches of one stream, handled in order within a partition and at the same time across partitions.

What waits for its turn in a partition is handed over as one batch: when each batch costs a few writes that are
awaited, a worker that is behind catches up by writing less often.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from streams.records import RecordBatch, followed

WAITING_RECORDS_MAX = 60_000
"""More than a moment's work read ahead would only be memory that the processor's caches can't hold."""
WAITING_MESSAGES_MAX = 64
JOINED_RECORDS_MAX = 20_000

Handler = Callable[[RecordBatch], Awaitable[None]]


class Lanes:
    """Calls `handle` with what `put` takes in, and `done` with each message that was handled.

    A message that isn't `fresh` any more when its turn comes is dropped. The first failure is told to `failed`;
    from then on nothing is handled and nothing is done. `dropped` is told of every message that is
    never done, so that nobody waits for it.
    """

    def __init__(
        self,
        handle: Handler,
        done: Callable[[Any], object],
        failed: Callable[[Exception], None],
        fresh: Callable[[Any], bool] = lambda _message: True,
        dropped: Callable[[Any], object] = lambda _message: None,
    ) -> None:
        self._handle = handle
        self._done = done
        self._fresh = fresh
        self._dropped = dropped
        self._failed = failed
        self._ended = False
        self._waiting: dict[int, deque[Any]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._held = 0
        self._room = asyncio.Event()

    async def put(self, message: Any) -> None:
        """Take a message in whose value is a RecordBatch; waits while too many wait already."""
        while self._held >= WAITING_RECORDS_MAX and not self._ended:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            self._dropped(message)
            return
        self._held += _room_of(message)
        partition = message.value.partition
        self._waiting.setdefault(partition, deque()).append(message)
        if partition not in self._tasks:
            self._tasks[partition] = asyncio.create_task(self._work(partition))

    def cancel(self) -> None:
        """Drop what isn't done."""
        self._end()
        for task in self._tasks.values():
            task.cancel()

    def _end(self) -> None:
        self._ended = True
        for waiting in self._waiting.values():
            for message in waiting:
                self._dropped(message)
            self._leave(waiting)
            waiting.clear()

    async def _work(self, partition: int) -> None:
        waiting = self._waiting[partition]
        try:
            while waiting:
                await self._turn(_some(waiting))
        except Exception as error:
            self._end()
            self._failed(error)
        finally:
            del self._tasks[partition]

    async def _turn(self, messages: Sequence[Any]) -> None:
        fresh = [message for message in messages if self._fresh(message)]
        try:
            if fresh:
                await self._handle(joined([message.value for message in fresh]))
        finally:
            self._leave(messages)
        for message in fresh if not self._ended else ():
            self._done(message)
        for message in messages:
            if self._ended or message not in fresh:
                self._dropped(message)

    def _leave(self, messages: Iterable[Any]) -> None:
        self._held -= sum(map(_room_of, messages))
        self._room.set()


def _room_of(message: Any) -> int:
    return max(len(message.value), WAITING_RECORDS_MAX // WAITING_MESSAGES_MAX)


def _some(waiting: deque[Any]) -> list[Any]:
    messages = [waiting.popleft()]
    records = len(messages[0].value)
    while waiting and records + len(waiting[0].value) <= JOINED_RECORDS_MAX:
        messages.append(waiting.popleft())
        records += len(messages[-1].value)
    return messages


def joined(batches: Sequence[RecordBatch]) -> RecordBatch:
    """Return consecutive batches of a partition as one."""
    if len(batches) == 1:
        return batches[0]
    offsets: Sequence[int] = range(0)
    timestamps_ms: list[int] = []
    values: list[bytes | None] = []
    for batch in batches:
        offsets = followed(offsets, batch.offsets)
        timestamps_ms += batch.timestamps_ms
        values += batch.values
    return RecordBatch(batches[0].topic, batches[0].partition, offsets, timestamps_ms, values)
