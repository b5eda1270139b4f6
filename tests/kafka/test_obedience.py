"""Commander, feed and guard on a real broker: what is ordered is obeyed, whatever stops and starts."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from commanding import commanding
from signing import ENV, KEYS, TRUST
from waiting import until

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.guard import Guard
from alerts.gateway.health import Health
from alerts.gateway.identity import Identity
from streams.commander import order_directly
from streams.fenced_outlet import OutrankedError
from streams.kill_topic import BY_HAND, Wiring
from streams.topics import TopicSpec, ensure_topics

pytestmark = pytest.mark.kafka
A = Identity(agent="a")


def decision(action: Action, scope: str = "agent:a", **fields: object) -> Decision:
    given = {"at_s": time.time(), "scope": scope, "action": action, "reason": "r", "incident_id": uuid.uuid4().hex}
    return Decision(**(given | fields))


@pytest.fixture
async def wiring(kafka: str) -> Wiring:
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    made = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks")
    await ensure_topics(made.client, [TopicSpec(made.kills, compacted=True), TopicSpec(made.acks)])
    return made


@asynccontextmanager
async def obeying(wiring: Wiring, name: str = "gw-1", snapshot: Path | None = None) -> AsyncIterator[Feed]:
    guard = Guard(ENV, TRUST, time.time())
    settings = FeedSettings(
        gateway_id=name, env=ENV, client=wiring.client, kills_topic=wiring.kills, acks_topic=wiring.acks,
        snapshot=snapshot,
    )  # fmt: skip
    feed = Feed(guard, settings)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


def refuses(feed: Feed, who: Identity = A) -> bool:
    return not feed.guard.check(who, time.time()).allowed


async def test_an_order_is_obeyed_reported_and_taken_back(wiring: Wiring) -> None:
    async with commanding(wiring) as commander, obeying(wiring) as one, obeying(wiring, "gw-2") as two:
        assert await one.wait_ready(20)
        assert await two.wait_ready(20)
        outcome = await commander.handle(decision(Action.KILL))
        await until(lambda: refuses(one) and refuses(two))
        name = f"agent:a@{outcome.epoch}.{outcome.seq}"
        await until(lambda: commander.coverage.counts(name, time.time()) == (2, 2))
        assert commander.coverage.text(name, time.time()).startswith("obeyed by 2 of 2 in ")

        stale = await commander.handle(decision(Action.RELEASE, actor="user:x", releases_seq=7))
        assert "seq 1 (killed" in stale.refused
        await commander.handle(decision(Action.RELEASE, actor="user:x", releases_seq=1))
        await until(lambda: not refuses(one) and not refuses(two))


async def test_a_gateway_that_is_stopped_on_purpose_is_missed_by_nobody(wiring: Wiring) -> None:
    async with commanding(wiring) as commander:
        async with obeying(wiring) as feed:
            assert await feed.wait_ready(20)
            await until(lambda: commander.coverage.live(time.time()) == ["gw-1"])
        await until(lambda: commander.coverage.live(time.time()) == [])


async def test_orders_given_while_the_service_is_down_hold_when_it_is_back(wiring: Wiring) -> None:
    made = await order_directly(wiring, TRUST, Orders(ENV, "cli", KEYS), decision(Action.KILL), time.time)
    assert made is not None
    async with obeying(wiring) as feed:
        assert await feed.wait_ready(20), "the heartbeat beside the order makes a gateway ready"
        assert refuses(feed)
        async with commanding(wiring) as commander:
            assert commander.orders.epoch == made.command.epoch + 1
            await commander.handle(decision(Action.RELEASE, actor="user:x", releases_seq=1))
            await until(lambda: not refuses(feed))
            await until(lambda: feed.guard.health(time.time()) is Health.LIVE)


async def test_a_command_by_hand_is_outrun(wiring: Wiring) -> None:
    async with commanding(wiring) as commander, obeying(wiring) as feed:
        assert await feed.wait_ready(20)
        other = await order_directly(wiring, TRUST, Orders(ENV, BY_HAND, KEYS), decision(Action.KILL), time.time)
        assert other is not None
        await until(lambda: commander.orders.epoch > other.command.epoch)
        await commander.handle(decision(Action.RELEASE, actor="user:x", releases_seq=1))
        await until(lambda: not refuses(feed))
        assert feed.guard.watch.alarms == 0


async def test_a_commander_that_another_one_has_replaced_orders_nothing_more(wiring: Wiring) -> None:
    async with commanding(wiring) as sleeper, commanding(wiring) as commander, obeying(wiring) as feed:
        assert await feed.wait_ready(20)
        await until(lambda: sleeper.failure is not None)

        with pytest.raises(OutrankedError):
            await sleeper.handle(decision(Action.KILL))

        await commander.handle(decision(Action.KILL, "agent:b"))
        await until(lambda: refuses(feed, Identity(agent="b")))
        assert not refuses(feed)
        assert commander.failure is None


async def test_what_a_thief_writes_frees_nobody_and_is_mended(wiring: Wiring) -> None:
    async with commanding(wiring) as commander, obeying(wiring) as old:
        assert await old.wait_ready(20)
        await commander.handle(decision(Action.KILL))
        await until(lambda: refuses(old))
        thief = AIOKafkaProducer(**wiring.client)
        await thief.start()
        for value in (None, b'{"state":"released"}'):
            await thief.send_and_wait(wiring.kills, value, b"agent:a", partition=0)
        end = (await thief.send_and_wait(wiring.kills, None, b"agent:a", partition=0)).offset
        await thief.stop()

        await until(lambda: old.offset > end + 1)
        assert refuses(old)
        assert old.guard.health(time.time()) is Health.UNTRUSTED
        async with obeying(wiring, "gw-new") as new:
            assert await new.wait_ready(20)
            assert refuses(new)


async def test_a_gateway_restarted_without_kafka_enforces_its_snapshot(wiring: Wiring, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    async with commanding(wiring) as commander, obeying(wiring, snapshot=snapshot) as feed:
        assert await feed.wait_ready(20)
        await commander.handle(decision(Action.KILL))
        await until(lambda: refuses(feed) and snapshot.exists())
    nowhere = Wiring({"bootstrap_servers": "127.0.0.1:9", "request_timeout_ms": 1000}, wiring.kills, wiring.acks)
    async with obeying(nowhere, snapshot=snapshot) as feed:
        assert refuses(feed)
        assert not refuses(feed, Identity(agent="b"))
        assert not feed.connected
