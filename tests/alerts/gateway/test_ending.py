"""Tasks end, also when a library swallows that they shall."""

import asyncio
from contextlib import suppress

from alerts.gateway.ending import end


async def test_a_task_whose_library_swallows_its_cancellation_is_ended_all_the_same() -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def closes_a_client_and_goes_on() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await never.wait()
        await never.wait()

    task = asyncio.create_task(closes_a_client_and_goes_on())
    await begun.wait()
    await end([task], again_s=0.0)
    assert task.cancelled()
