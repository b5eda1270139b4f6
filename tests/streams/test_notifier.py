"""Incidents reach people: none lost, none twice, whatever Slack does and wherever the service dies."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from fake_slack import FakeSlack, Mood
from incident_life import decision
from notifying import NOW, CrashError, Recorder, World
from waiting import until

from alerts.decision import Action
from alerts.gateway.wire import Command, State
from alerts.incident import CHAT, Act, Outcome, Status, decode_row
from alerts.sink import LogSink
from streams.notifier import Notifier, Route


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        yield server


@pytest.fixture
def world(slack: FakeSlack) -> World:
    return World(slack)


async def test_an_incident_is_durable_and_published_before_the_caller_goes_on(world: World) -> None:
    incident = await world.kill()

    row = world.rows[incident.id]
    assert row is not None
    assert decode_row(row) == incident
    assert world.alerts[0]["headline"] == "KILLED: agent a0"
    assert world.slack is not None
    assert world.slack.calls == []


async def test_one_message_is_posted_then_edited(world: World, slack: FakeSlack) -> None:
    incident = await world.kill()
    await world.pass_time(5)
    await world.notifier.covered("agent:a0", (1, 1), "obeyed by 4 of 4 gateways in 90 ms")
    await world.notifier.acted(Act("acknowledge", incident.id, "slack:U1"))
    await world.pass_time(5)

    assert slack.calls.count("chat.postMessage") == 1
    (message,) = slack.messages.values()
    assert "obeyed by 4 of 4 gateways in 90 ms" in message["text"]
    assert "Acknowledged by <@U1>" in json.dumps(message["blocks"])


async def test_a_caller_whose_write_fails_is_told_and_may_call_again(world: World) -> None:
    world.crash_at = 0
    with pytest.raises(CrashError):
        await world.kill()
    world.crash_at = None
    await world.kill()

    assert len(world.rows) == 1


FAULTS: list[list[Mood]] = [
    ["limit", "limit"],
    ["fail", "fail", "fail"],
    ["drop"],
    ["drop", "drop", "drop before", "drop"],
    ["drop before"],
    ["hang"],
    ["refuse blocks"],
    ["refuse all", "refuse all"],
    ["limit", "fail", "drop", "hang", "drop before"],
]


@pytest.mark.parametrize("moods", FAULTS, ids=lambda moods: "-".join(moods).replace(" ", "_"))
async def test_no_fault_of_slack_loses_or_doubles_an_incident(
    world: World, slack: FakeSlack, moods: list[Mood]
) -> None:
    slack.moods.extend(moods)
    incidents = [await world.kill(number) for number in range(3)]
    await world.pass_time(120)

    assert [len(slack.about(incident.id)) for incident in incidents] == [1, 1, 1]
    for incident in world.notifier.book.incidents.values():
        assert incident.deliveries[CHAT].revision == incident.revision


async def test_where_history_may_not_be_read_a_dropped_message_is_repeated_once(world: World, slack: FakeSlack) -> None:
    slack.history_readable = False
    slack.moods.append("drop")
    incident = await world.kill()
    await world.pass_time(60)

    assert len(slack.about(incident.id)) == 2


@pytest.mark.parametrize("readable", [True, False])
async def test_a_crash_at_any_write_loses_nothing_and_repeats_at_most_one(slack: FakeSlack, readable: bool) -> None:
    slack.history_readable = readable
    repeated = 0
    for crash_at in range(16):
        slack.messages.clear()
        world = World(slack)
        world.crash_at = crash_at
        try:
            for number in range(2):
                await world.kill(number)
            await world.pass_time(10)
        except* CrashError:
            pass
        world.crash_at = None
        world.start()
        incidents = [await world.kill(number) for number in range(2)]
        await world.pass_time(30)
        counts = [len(slack.about(incident.id)) for incident in incidents]
        assert min(counts) >= 1
        assert sum(counts) <= (2 if readable else 3)
        repeated += sum(counts) - 2

    assert readable or repeated > 0, "no crash fell between a message and its record: the test is too tame"


async def test_retry_after_is_obeyed(world: World, slack: FakeSlack) -> None:
    slack.moods.append("limit")
    await world.kill()
    await world.pass_time(6)
    assert slack.calls == ["chat.postMessage"]

    await world.pass_time(5)
    assert len(slack.messages) == 1
    assert ("chat", "limited") in world.counts


async def test_an_outage_of_an_hour_is_survived_and_only_the_latest_state_is_told(
    world: World, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    slack.moods.extend(["drop before"] * 1_000)
    for number in range(5):
        await world.kill(number)
    with caplog.at_level(logging.WARNING):
        await world.pass_time(3_600)
    assert all(f"KILLED: agent a{number}" in caplog.text for number in range(5))
    await world.notifier.decided(decision("a0", Action.RELEASE, 200.0), Outcome(1, 99), offset=50)
    slack.moods.clear()
    await world.pass_time(90)

    assert len(slack.messages) == 5
    assert sum(text.startswith("RELEASED: agent a0") for text in slack.shown) == 1
    assert slack.calls.count("chat.postMessage") < 120


async def test_a_storm_of_500_gives_one_digest(world: World, slack: FakeSlack) -> None:
    await asyncio.gather(*(world.kill(number, team=f"t{number % 40}") for number in range(500)))
    await world.pass_time(60)

    assert len(slack.messages) == 1
    assert slack.shown[0].startswith("KILLED: 500 incidents at once")
    assert len([row for row in world.rows.values() if row]) == 501


async def test_a_message_that_was_deleted_is_posted_anew(world: World, slack: FakeSlack) -> None:
    incident = await world.kill()
    await world.pass_time(5)
    slack.messages.clear()
    await world.notifier.acted(Act("acknowledge", incident.id, "slack:U1"))
    await world.pass_time(10)

    assert len(slack.about(incident.id)) == 1


async def test_messages_keep_a_second_apart(world: World, slack: FakeSlack) -> None:
    for number in range(10):
        await world.kill(number)
    await world.pass_time(6)

    assert len(slack.messages) <= 6


async def test_a_hanging_slack_delays_no_decision_and_no_other_sink(slack: FakeSlack) -> None:
    slack.moods.extend(["hang"] * 5)
    world = World(slack)
    seen: list[str] = []
    notifier = world.start(Route(Recorder("webhook", seen.append)))
    running = asyncio.create_task(notifier.run())
    try:
        async with asyncio.timeout(0.9):
            await world.kill()
            world.now_s += 5
            await until(lambda: bool(seen))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_sink_that_breaks_on_one_incident_still_gets_the_others() -> None:
    seen: list[str] = []

    def picky(name: str) -> None:
        if "a1" in name:
            raise ValueError(name)
        seen.append(name)

    world = World()
    world.start(Route(Recorder(CHAT, picky)))
    for number in range(3):
        await world.kill(number)
    await world.pass_time(5)

    assert sorted(seen) == ["agent:a0", "agent:a2"]


async def test_without_a_token_the_same_incident_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.start(Route(LogSink()))
    with caplog.at_level(logging.INFO):
        await world.kill()
        await world.pass_time(3)

    assert [record.message.splitlines()[0] for record in caplog.records] == ["KILLED: agent a0"]


async def test_it_runs_by_itself_and_stops_when_cancelled(slack: FakeSlack) -> None:
    world = World(slack)
    running = asyncio.create_task(world.notifier.run())
    await world.kill()
    world.now_s += 5
    await until(lambda: len(slack.messages) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_unreadable_rows_are_counted_and_the_rest_is_restored(world: World) -> None:
    incident = await world.kill()
    notifier = Notifier(world.put, [], now_s=lambda: NOW)

    assert notifier.restore({**world.rows, "bad": b"{", "gone": None}) == 1
    assert notifier.book.incidents[incident.id].status is Status.OPEN


async def test_retired_incidents_are_erased_from_the_topic(world: World) -> None:
    incident = await world.kill(action=Action.WARN)
    world.now_s += 1_000
    await world.notifier.tick()
    world.now_s += 86_400
    await world.notifier.tick()

    assert world.rows == {incident.id: None}


class Topic:
    """The last word on each scope."""

    def __init__(self, *commands: Command) -> None:
        self.commands = {command.scope: command for command in commands}

    def held(self, scope: str) -> Command | None:
        return self.commands.get(scope)

    def active(self, now_s: float) -> list[Command]:
        return [command for command in self.commands.values() if command.in_force(now_s)]


def command(scope: str, state: State, seq: int) -> Command:
    return Command(
        v=1,
        env="test",
        scope=scope,
        state=state,
        epoch=1,
        seq=seq,
        writer="w",
        issued_at=NOW,
        reason="by hand",
        incident_id="feed",
        actor="user:alice",
    )


async def test_a_commander_that_died_between_a_command_and_its_incident_is_caught_up_with(world: World) -> None:
    await world.kill()
    notifier = world.start()
    await notifier.reconcile(Topic(command("agent:a0", State.RELEASED, 2), command("agent:b", State.KILLED, 1)))
    release = decision("a0", Action.RELEASE, 200.0)
    await notifier.decided(release, Outcome(refused="nothing is in force"), offset=9)

    released = notifier.book.latest("single", "agent:a0")
    killed = notifier.book.current("agent:b")
    assert released is not None
    assert (released.status, released.status_by) == (Status.RELEASED, "user:alice")
    assert killed is not None
    assert killed.in_force == "killed"
    revisions = {name: incident.revision for name, incident in notifier.book.incidents.items()}
    await notifier.reconcile(Topic(command("agent:a0", State.RELEASED, 2), command("agent:b", State.KILLED, 1)))
    assert revisions == {name: incident.revision for name, incident in notifier.book.incidents.items()}
