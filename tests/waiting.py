"""Waits for what real processes and connections bring about: look until it holds. The one place where tests sleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

DEADLINE_S, PAUSE_S, PAUSE_MOST_S = 60.0, 0.02, 0.25


async def until(holds: Callable[[], bool | Awaitable[bool]], deadline_s: float = DEADLINE_S) -> None:
    """Look until the condition holds; raises TimeoutError when it doesn't in time.

    The longer it takes, the seldomer it looks: brokers and processes have their work to do meanwhile.
    """
    began_s = time.monotonic()
    async with asyncio.timeout(deadline_s):
        while True:
            found = holds()
            if await found if isawaitable(found) else found:
                return
            await asyncio.sleep(min(PAUSE_MOST_S, max(PAUSE_S, (time.monotonic() - began_s) / 20)))
