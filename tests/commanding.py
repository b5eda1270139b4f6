"""A commander at work on a real broker."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signing import ENV, KEYS, TRUST

from alerts.commands import Orders
from streams.commander import Commander
from streams.fenced_outlet import FencedOutlet
from streams.kill_topic import Wiring
from streams.outlet import Outlet


@asynccontextmanager
async def commanding(wiring: Wiring, way: Outlet | None = None) -> AsyncIterator[Commander]:
    """Start a commander that writes by an outlet, a fenced one if none is given, and stop both."""
    async with way or FencedOutlet(wiring.client, wiring.kills) as outlet:
        made = Commander(wiring, TRUST, Orders(ENV, "w", KEYS), outlet, time.time, lambda *_: None)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()
