"""Limits on a real broker: published by the service, shared among gateways, and held by each."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from limited import limited
from signing import ENV, TRUST
from waiting import until

from alerts.apportion import Holding
from alerts.gateway.budget import Load
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Denial, Identity
from streams.commander import Wiring
from streams.settings import Settings

pytestmark = pytest.mark.kafka
A = Identity(agent="a", model="gpt-4o")
TOKENS = Load(30_000, 0)


def feed_settings(wiring: Wiring, limits: str, name: str, snapshot: Path | None = None) -> FeedSettings:
    return FeedSettings(
        gateway_id=name, env=ENV, client=wiring.client, kills_topic=wiring.kills, acks_topic=wiring.acks,
        limits_topic=limits, snapshot=snapshot,
    )  # fmt: skip


@asynccontextmanager
async def gateway(wiring: Wiring, limits: str, name: str, snapshot: Path | None = None) -> AsyncIterator[Feed]:
    feed = Feed(Guard(ENV, TRUST, time.time()), feed_settings(wiring, limits, name, snapshot))
    await feed.start()
    try:
        assert await feed.wait_ready(20)
        yield feed
    finally:
        await feed.stop()


async def test_a_limit_reaches_every_gateway_and_its_shares_go_where_it_is_used(kafka: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(limited(kafka, {"scope": "agent:*", "tokens": 100_000, "per": "day"}))
        wiring, limits, settings, sharing = made.wiring, made.topic, made.settings, made.sharing
        one = await stack.enter_async_context(gateway(wiring, limits, "gw-1", tmp_path / "one"))
        two = await stack.enter_async_context(gateway(wiring, limits, "gw-2"))

        def share(feed: Feed) -> float:
            given = feed.guard.budget.shares
            return 0.0 if given is None else given.of("agent:a", "tokens/day/agent:*")

        await until(lambda: (share(one), share(two)) == (0.5, 0.5))
        assert one.guard.budget.prices.of("openai/gpt-4o").known
        assert one.guard.check(A, time.time(), TOKENS).allowed
        await until(lambda: share(one) > 0.85)
        name = "tokens/day/agent:*"
        held = [Holding("gw-1", name, 0.9, 0.3), Holding("gw-2", name, 0.1, 0.0)]
        await until(lambda: sharing.holdings() == (held, {"gw-1": 1, "gw-2": 0}))
        assert one.guard.check(A, time.time(), TOKENS).allowed
        assert two.guard.check(A, time.time(), TOKENS).denial is Denial.CEILING

        used = one.guard.budget.used(time.time())
        await until(lambda: (tmp_path / "one.used").exists() and (tmp_path / "one.used").read_bytes() == used)

        more = [{"scope": "agent:*", "tokens": 1_000_000, "per": "day"}]
        await sharing.reconfigure(settings.model_copy(update={"limits": Settings(limits=more).limits}))
        await until(lambda: [feed.guard.budget.digest for feed in (one, two)] == [made.commander.rules] * 2)
        assert two.guard.check(A, time.time(), TOKENS).allowed
        assert "30,000 tokens used" in two.guard.check(A, time.time(), Load(10**6, 0)).reason

        await sharing.reconfigure(settings.model_copy(update={"mode": "shadow"}))
        await until(lambda: not one.guard.budget.active and not two.guard.budget.active)
        assert made.commander.failure is None


async def test_a_gateway_that_may_not_read_the_limits_says_so_and_needs_none_where_there_are_none(kafka: str) -> None:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(limited(kafka, topic=False))
        wiring, commander = made.wiring, made.commander
        async with gateway(wiring, made.topic, "gw-1") as feed:
            assert (feed.trouble, feed.guard.check(A, time.time()).allowed) == ("", True)
            commander.rules = "those of a topic that this gateway can't see"
            await until(lambda: "limits are in force" in feed.trouble)

        feed = Feed(Guard(ENV, TRUST, time.time()), feed_settings(wiring, made.topic, "gw-2"))
        await feed.start()
        stack.push_async_callback(feed.stop)
        await until(lambda: "limits are in force" in feed.trouble)
        assert f"{made.topic} does not exist, or this gateway may not read it" in feed.trouble
        assert "not yet read the limits in force" in feed.guard.check(A, time.time()).reason
