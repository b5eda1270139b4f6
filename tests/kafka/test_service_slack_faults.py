"""Slack limits, fails, hangs and drops while incidents are told by the real service: none is lost, none told twice."""

import signal
from pathlib import Path

import pytest
from fake_slack import FakeSlack, Mood
from kafka_service import Installation
from kafka_slack import LIMIT, about, calls, incidents, settled, site_of
from waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
FAULTS: tuple[Mood, ...] = ("limit", "fail", "drop", "drop before", "hang", "silent", "ok")


def names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}x" for number in range(count)]


async def told(site: Installation, slack: FakeSlack, agents: list[str], word: str) -> None:
    """Wait until each agent's incident is told as it stands, in a message that says `word`."""

    async def are() -> bool:
        rows = {row["scope"]: row for row in await incidents(site)}
        for agent in agents:
            row, messages = rows.get(f"agent:{agent}"), about(slack, agent)
            delivery = (row or {}).get("deliveries", {}).get("chat", {})
            if row is None or delivery.get("revision") != row.get("revision", 1):
                return False
            if not any(message["text"].startswith(word) for message in messages):
                return False
        return True

    try:
        await until(are, 120)
    except TimeoutError:
        rows = await incidents(site)
        raise AssertionError(f"{slack.shown}, {[(r['scope'], r.get('deliveries')) for r in rows]}") from None


async def test_faults_of_slack_lose_nothing_and_repeat_nothing(kafka: str, tmp_path: Path) -> None:
    agents = names("f", 5)
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site:
        slack.retry_after_s = 2
        await settled([await site.start("a")])
        slack.moods.extend(FAULTS)
        await site.produce(calls(agents, LIMIT + 1))
        await told(site, slack, agents, "KILLED")
        assert not slack.moods, "not every fault has happened"

        slack.moods.extend(("fail", "drop", "limit", "drop before"))
        for agent in agents[:2]:
            await site.command("release", f"agent:{agent}", "--reason", "it is mended")
        await told(site, slack, agents[:2], "RELEASED")
        assert not slack.moods
        assert [len(about(slack, agent)) for agent in agents] == [1] * 5
        assert len(slack.messages) == len(await incidents(site)) == 5
        print(f"{len(FAULTS) + 3} faults, 5 incidents opened, 2 updated: 5 messages")


@pytest.mark.parametrize("readable", [True, False])
async def test_a_worker_killed_between_a_message_and_its_record_repeats_at_most_that_one(
    kafka: str, tmp_path: Path, readable: bool
) -> None:
    agents = names("k", 3)
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site:
        slack.history_readable = readable
        worker = await site.start("a")
        await settled([worker])
        slack.moods.append("silent")
        await site.produce(calls(agents, LIMIT + 1))

        async def taken() -> bool:
            return len(slack.messages) == 1

        await until(taken, 60)
        await worker.end(signal.SIGKILL)
        await site.start("a")
        await told(site, slack, agents, "KILLED")

        counts = sorted(len(about(slack, agent)) for agent in agents)
        assert counts == ([1, 1, 1] if readable else [1, 1, 2])


async def test_a_channel_is_changed_while_the_service_runs(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site:
        await settled([await site.start("a")])
        await site.produce(calls(names("c", 1), LIMIT + 1))
        await told(site, slack, names("c", 1), "KILLED")
        chat = {"token": "xoxb-1", "app_token": "xapp-1", "channel": "C2", "base_url": slack.base_url}
        site.reconfigure("a", slack=chat)
        await site.workers[0].logs("Settings in force: the service: slack.channel is C2; until now: C1")
        await site.produce(calls(names("d", 1), LIMIT + 1))
        await told(site, slack, names("d", 1), "KILLED")
        await site.command("release", "agent:c0x", "--reason", "it is mended")
        await told(site, slack, names("c", 1), "RELEASED")

        assert [message["channel"] for message in slack.messages.values()] == ["C1", "C2"]
