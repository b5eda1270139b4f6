"""A worker that is frozen between its look at the lease and the socket, on a real broker: it writes nothing late."""

import asyncio
import time
import uuid

import pytest
from commanding import commanding
from kafka_workers import read_records
from signing import ENV, KEYS, TRUST
from waiting import until

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from streams.commander import HEARTBEAT_S, order_directly
from streams.compacted import read_compacted
from streams.fenced_outlet import FencedOutlet, OutrankedError
from streams.kill_topic import Wiring
from streams.notifier import Notifier
from streams.notifier import Wiring as Links
from streams.outlet import Message, Outlet
from streams.topics import TopicSpec, ensure_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
async def wiring(kafka: str) -> Wiring:
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    made = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks")
    names = (made.kills, made.acks, f"{prefix}.incidents", f"{prefix}.alerts")
    await ensure_topics(made.client, [TopicSpec(name, compacted=name != made.acks) for name in names])
    return made


def kill(scope: str = "agent:a") -> Decision:
    return Decision(at_s=time.time(), scope=scope, action=Action.KILL, reason="r", incident_id=uuid.uuid4().hex)


class Frozen:
    """Holds up what an outlet sends, after all that it looks at before."""

    def __init__(self, outlet: Outlet) -> None:
        self.reached, self._awake = asyncio.Event(), asyncio.Event()
        producer = outlet._producer
        assert producer is not None
        self._send = producer.send
        producer.send = self._wait_and_send

    async def _wait_and_send(self, *args: object, **options: object) -> object:
        self.reached.set()
        await self._awake.wait()
        return await self._send(*args, **options)

    def wake(self) -> None:
        self._awake.set()


@pytest.mark.parametrize(("fenced", "written"), [(True, 1), (False, 3)])
async def test_a_kill_is_written_once_and_without_transactions_its_late_copy_is_mended(
    wiring: Wiring, fenced: bool, written: int
) -> None:
    def outlet() -> Outlet:
        return FencedOutlet(wiring.client, wiring.kills) if fenced else Outlet(wiring.client)

    ordered, sleepers = kill(), outlet()
    async with commanding(wiring, sleepers) as sleeper:
        frozen = Frozen(sleepers)
        late = asyncio.create_task(sleeper.handle(ordered))
        await frozen.reached.wait()

        async with commanding(wiring, outlet()) as commander:
            await commander.handle(ordered)
            frozen.wake()
            (refused,) = await asyncio.gather(late, return_exceptions=True)
            woken_s = time.time()
            await until(lambda: commander.beat_at_s > woken_s + HEARTBEAT_S)

        found = [record for record in await read_records(wiring.client, wiring.kills, 1) if record.key == b"agent:a"]
        assert isinstance(refused, OutrankedError) is fenced
        assert len(found) == written
        assert TRUST.verify(found[-1].value, "agent:a").payload.epoch == commander.orders.epoch


async def test_an_incident_is_as_the_one_who_commands_has_written_it(wiring: Wiring) -> None:
    topics = [wiring.kills.replace("kills", what) for what in ("incidents", "alerts")]
    links = Links(incidents_topic=topics[0], alerts_topic=topics[1])

    def notifier(outlet: Outlet) -> Notifier:
        return Notifier(outlet.put, [], now_s=time.time, wiring=links)

    decision = kill()
    async with FencedOutlet(wiring.client, topics[0]) as sleepers:
        frozen = Frozen(sleepers)
        late = asyncio.create_task(notifier(sleepers).decided(decision))
        await frozen.reached.wait()
        async with FencedOutlet(wiring.client, topics[0]) as outlet:
            await notifier(outlet).decided(decision)
            before = await read_compacted(wiring.client, topics[0])
            frozen.wake()

            with pytest.raises(OutrankedError):
                await late

    assert len(before) == 1
    assert await read_compacted(wiring.client, topics[0]) == before


async def test_a_transaction_that_a_crash_left_open_holds_up_no_kill(wiring: Wiring) -> None:
    async with FencedOutlet(wiring.client, wiring.kills) as crashed:
        producer = crashed._producer
        assert producer is not None
        await producer.begin_transaction()
        await producer.send_and_wait(wiring.kills, b"half", b"agent:b", 0)

        guard = Guard(ENV, TRUST, time.time())
        feed = Feed(guard, FeedSettings(gateway_id="g", env=ENV, client=wiring.client, kills_topic=wiring.kills,
                                        acks_topic=wiring.acks))  # fmt: skip
        await feed.start()
        try:
            assert await order_directly(wiring, TRUST, Orders(ENV, "cli", KEYS), kill(), time.time)
            await until(lambda: not guard.check(Identity(agent="a"), time.time()).allowed)
            assert await feed.wait_ready(20)
        finally:
            await feed.stop()


async def test_what_is_sent_at_the_same_time_shares_a_transaction_and_keeps_its_order(wiring: Wiring) -> None:
    async with FencedOutlet(wiring.client, wiring.kills) as outlet:
        placed = await asyncio.gather(
            *(outlet.send_placed([Message(wiring.acks, None, b"%d" % n, 0)]) for n in range(100))
        )

    records = await read_records(wiring.client, wiring.acks, 1)
    assert [record.value for record in records] == [b"%d" % n for n in range(100)]
    assert [[record.offset] for record in records] == placed
    assert records[-1].offset < 110


async def test_an_outlet_may_be_closed_while_its_transaction_is_being_ended(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fenced_outlet.OPEN_S", 0.0)
    for n in range(10):
        async with FencedOutlet(wiring.client, wiring.kills) as outlet:
            await outlet.send([Message(wiring.acks, None, b"%d" % n, 0)])

    records = await read_records(wiring.client, wiring.acks, 1)
    assert [record.value for record in records] == [b"%d" % n for n in range(10)]
