"""Who is told, and who may click, changes with the settings while incidents are told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from fake_slack import FakeSlack
from incident_life import decision
from waiting import until

from alerts.chart import Point
from alerts.incident import Incident, Outcome
from alerts.sink import LogSink
from streams.notifier import Notifier, Wiring
from streams.people import People
from streams.settings import Settings


async def no_history(_incident: Incident) -> Sequence[Point]:
    return []


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake


class Office:
    """A notifier that tells people as the settings say, on a clock of its own."""

    def __init__(self, slack: FakeSlack, **given: Any) -> None:
        self.slack, self.now_s = slack, 1_000.0
        self.people = People(self.settings(**given), lambda: self.now_s, no_history)
        self.notifier = Notifier(self.put, self.people.routes(), now_s=lambda: self.now_s)
        self.running = asyncio.create_task(self.notifier.run())

    def settings(self, channel: str = "C1", **given: Any) -> Settings:
        chat = {"token": "xoxb-1", "channel": channel, "base_url": self.slack.base_url}
        return Settings.model_validate({"slack": chat, **given})

    async def put(self, topic: str, key: str, value: bytes | None) -> None:
        return None

    def reload(self, **given: Any) -> None:
        self.people.reconfigure(self.settings(**given))
        self.notifier.rewire(Wiring(dashboard_url=str(given.get("dashboard_url", ""))), self.people.routes())

    async def kill(self, name: str, seq: int) -> None:
        await self.notifier.decided(decision(name), Outcome(1, seq), offset=seq)
        self.now_s += 5

    async def close(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running


@pytest.fixture
async def office(slack: FakeSlack) -> AsyncIterator[Office]:
    made = Office(slack)
    yield made
    await made.close()


async def test_a_new_channel_gets_what_comes_next_and_what_was_told_is_edited_where_it_is(
    office: Office, slack: FakeSlack
) -> None:
    await office.kill("a", 1)
    await until(lambda: len(slack.messages) == 1)
    office.reload(channel="C2", dashboard_url="https://brakeline.example.com/{incident}")
    await office.kill("b", 2)
    await until(lambda: len(slack.messages) == 2)

    assert [message["channel"] for message in slack.messages.values()] == ["C1", "C2"]
    assert "https://brakeline.example.com/" in str(list(slack.messages.values())[1]["blocks"])


async def test_settings_that_do_not_touch_a_sink_leave_it_as_it_is(office: Office) -> None:
    before = office.people.slack
    office.reload(notify={"repeat_s": {"critical": 60}}, pagerduty={"routing_key": "k"})
    assert office.people.slack is before
    assert [courier.sink.name for courier in office.notifier.couriers] == ["chat", "pagerduty"]

    office.reload(channel="C2")
    assert office.people.slack is not before


async def test_quiet_hours_and_repeats_hold_for_people_and_not_for_programs(office: Office) -> None:
    office.reload(
        notify={"quiet_hours": [{"start": "00:00", "end": "00:00"}], "repeat_s": {"warning": 60}},
        webhooks=[{"url": "http://127.0.0.1:9/"}],
        pagerduty={"routing_key": "k"},
    )
    told = {route.sink.name: route.telling for route in office.people.routes()}

    assert [bool(told[name].quiet) for name in ("chat", "webhook:0", "pagerduty")] == [True, False, True]
    assert {telling.repeats.warning for telling in told.values()} == {60.0}
    assert told["pagerduty"].least == "critical"


async def test_a_message_under_way_while_slack_changes_is_not_sent_twice(office: Office, slack: FakeSlack) -> None:
    slack.moods.append("limit")
    slack.retry_after_s = 3_600
    await office.kill("a", 1)
    await until(lambda: slack.calls == ["chat.postMessage"])
    office.reload(channel="C2")

    await until(lambda: len(slack.messages) == 1)
    assert [message["channel"] for message in slack.messages.values()] == ["C2"]


async def test_without_slack_incidents_go_to_the_log_and_a_click_is_answered(office: Office) -> None:
    office.people.reconfigure(Settings())

    assert [type(route.sink) for route in office.people.routes()] == [LogSink]
    with pytest.raises(Exception, match="no longer in the settings"):
        await office.people.whisper("C1", "U1", "hello")
