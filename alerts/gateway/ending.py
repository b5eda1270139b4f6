"""Ends tasks, also those that didn't hear of it."""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_S = 2.0


async def end(tasks: Collection["asyncio.Task[Any]"], again_s: float = AGAIN_S) -> list[Any]:
    """Cancel tasks until they are over, and return their results or exceptions.

    Once isn't enough: a cancellation that comes while aiokafka closes a client is swallowed by it.
    """
    ending = list(tasks)  # A set may lose those that are over.
    left = set(ending)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_s)
    return await asyncio.gather(*ending, return_exceptions=True)
