"""What is one event is one message: a team's agents together, and none of those whom a kill of their team silences."""

import json
from pathlib import Path

import pytest
from fake_slack import FakeSlack
from kafka_slack import LIMIT, calls, incidents, settled, site_of, target
from slack_room import pressed, submitted
from waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def until_shown(slack: FakeSlack, *texts: str) -> None:
    async def shown() -> bool:
        said = json.dumps(list(slack.messages.values()))
        return all(said.count(text) >= texts.count(text) for text in texts)

    try:
        await until(shown, 60)
    except TimeoutError:
        raise AssertionError(f"no {texts} in {slack.shown}") from None


async def test_a_teams_event_is_one_message_with_its_members_and_one_click_frees_them_all(
    kafka: str, tmp_path: Path
) -> None:
    agents = [f"g{number}x" for number in range(4)]
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site:
        await settled([await site.start("a")])
        await site.produce(calls(agents, LIMIT + 1, team="beta"))
        await until_shown(
            slack, "KILLED: 4 scopes of team beta", "Release all 4", *(f"agent:{a} killed" for a in agents)
        )

        rows = await incidents(site)
        (group,) = [row for row in rows if row.get("kind") == "group"]
        assert [row["parent"] for row in rows if row is not group] == [group["id"]] * 4
        assert len(slack.messages) == 1

        await until_heard(slack)
        (message,) = slack.messages.values()
        await slack.press(pressed("release", target(message)), "press")
        await until_asked(slack)
        await slack.press(submitted(slack.modals[0], "the deploy was rolled back", "UOPS"), "reason")
        await until_shown(slack, "RESOLVED: 4 scopes of team beta", *(f"agent:{agent} released" for agent in agents))
        released = {c.scope for c in await site.commands() if c.state == "released"}
        assert released == {f"agent:{agent}" for agent in agents}


async def test_a_kill_of_a_team_silences_what_its_agents_do(kafka: str, tmp_path: Path) -> None:
    agents = [f"i{number}x" for number in range(2)]
    repeats = {"notify": {"repeat_s": {"critical": 2}}}
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack, **repeats) as site:
        await settled([await site.start("a")])
        await site.produce(calls(agents, LIMIT + 1, team="gamma"))
        await until_shown(slack, *(f"KILLED: agent {agent}" for agent in agents))
        await until_repeated(slack, 2)
        await site.command("kill", "team:gamma", "--reason", "all of it burns")
        await until_shown(slack, "KILLED: team gamma")

        (team,) = [row["id"] for row in await incidents(site) if row["scope"] == "team:gamma"]
        await until_shown(slack, *[f"Part of incident {team}"] * 2)
        (place,) = [ts for ts, message in slack.messages.items() if "team gamma" in message["text"]]
        slack.replies.clear()
        await until_repeated(slack, 2)
        assert {reply["thread_ts"] for reply in slack.replies} == {place}, "only the team is repeated"
        assert len(slack.messages) == 3


async def until_heard(slack: FakeSlack) -> None:
    async def connected() -> bool:
        return slack.connected

    await until(connected, 60)


async def until_asked(slack: FakeSlack) -> None:
    async def asked() -> bool:
        return len(slack.modals) == 1

    await until(asked, 60)


async def until_repeated(slack: FakeSlack, times: int) -> None:
    async def repeated() -> bool:
        return len([reply for reply in slack.replies if reply.get("reply_broadcast")]) >= times

    await until(repeated, 60)
