"""Limits on a real broker: published by the service, shared among gateways, and held by each."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from signing import ENV, KEYS, TRUST

from alerts.commands import Orders
from alerts.gateway.budget import Load
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Denial, Identity
from streams.commander import Commander, Wiring
from streams.limiting import Sharing, share_limits
from streams.outlet import Outlet
from streams.settings import Settings
from streams.topics import TopicSpec, ensure_topics

pytestmark = pytest.mark.kafka
A = Identity(agent="a", model="gpt-4o")
TOKENS = Load(30_000, 0)


async def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def gateway(wiring: Wiring, limits: str, name: str, snapshot: Path | None = None) -> AsyncIterator[Feed]:
    settings = FeedSettings(
        gateway_id=name, env=ENV, client=wiring.client, kills_topic=wiring.kills, acks_topic=wiring.acks,
        limits_topic=limits, snapshot=snapshot,
    )  # fmt: skip
    feed = Feed(Guard(ENV, TRUST, time.time()), settings)
    await feed.start()
    try:
        assert await feed.wait_ready(20)
        yield feed
    finally:
        await feed.stop()


async def test_a_limit_reaches_every_gateway_and_its_shares_go_where_it_is_used(kafka: str, tmp_path: Path) -> None:
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    wiring, limits = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks"), f"{prefix}.limits"
    compacted = [TopicSpec(name, compacted=True) for name in (wiring.kills, limits)]
    await ensure_topics(wiring.client, [*compacted, TopicSpec(wiring.acks)])
    settings = Settings(mode="armed", keys={"env": ENV}, limits=[{"scope": "agent:*", "tokens": 100_000, "per": "day"}])
    async with AsyncExitStack() as stack:
        outlet = await stack.enter_async_context(Outlet(wiring.client))
        commander = Commander(wiring, TRUST, Orders(ENV, "w", KEYS), outlet, time.time, lambda *_: None)
        await commander.start()
        stack.push_async_callback(commander.stop)
        task = await share_limits(Sharing(settings, KEYS, TRUST, wiring.client, limits), outlet, commander)
        stack.callback(task.cancel)
        one = await stack.enter_async_context(gateway(wiring, limits, "gw-1", tmp_path / "one"))
        two = await stack.enter_async_context(gateway(wiring, limits, "gw-2"))

        def share(feed: Feed) -> float:
            given = feed.guard.budget.shares
            return 0.0 if given is None else given.of("agent:a", "tokens/day/agent:*")

        await until(lambda: (share(one), share(two)) == (0.5, 0.5))
        assert one.guard.budget.prices.of("openai/gpt-4o").known
        assert one.guard.check(A, time.time(), TOKENS).allowed
        await until(lambda: share(one) > 0.85)
        assert one.guard.check(A, time.time(), TOKENS).allowed
        assert two.guard.check(A, time.time(), TOKENS).denial is Denial.CEILING

        used = one.guard.budget.used(time.time())
        await until(lambda: (tmp_path / "one.used").exists() and (tmp_path / "one.used").read_bytes() == used)
        assert not task.done()
