"""A gate on a real broker: the service, two gateways, a Slack on loopback, and a person who decides."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_slack import FakeSlack
from kafka_service import Installation
from slack_room import pressed, submitted
from waiting import until

from alerts.blocks import Target
from alerts.gateway.connect import Connection, connect
from alerts.gateway.identity import Answer, Denial, Identity
from streams.assembly import trust_file

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
A = Identity(agent="coder-7", team="research", run="r1", model="claude-opus-4")
CHILD = Identity(agent="helper", team="research", run="r2", parents=("r1",), model="claude-opus-4")
OTHER_RUN = Identity(agent="coder-7", team="research", run="r3", model="claude-opus-4")
CHEAP = Identity(agent="coder-7", team="research", run="r1", model="gpt-4o-mini")
GATE = {"name": "dear", "models": ["*opus*"], "min_estimated_usd": 0.01, "approvers": ["slack:UOPS", "user:*"]}


def site_of(kafka: str, folder: Path, slack: FakeSlack) -> Installation:
    return Installation(
        kafka,
        folder,
        gates=[GATE],
        slack={"token": "xoxb-1", "app_token": "xapp-1", "channel": "C1", "base_url": slack.base_url},
        slack_users={"UOPS": "operator", "UELSE": "operator", "UVIEW": "viewer"},
    )


@asynccontextmanager
async def gateway(site: Installation, name: str) -> AsyncIterator[Connection]:
    """Open a gateway that knows the gate."""

    def opened() -> Connection:
        return connect(
            trust_file(site.settings), site.client, gateway_id=name, prefix=site.name, events_topic="", ready_s=60,
        )  # fmt: skip

    connection = await asyncio.to_thread(opened)
    try:

        async def knows() -> bool:
            return bool(connection.gate.guard.budget.gates)

        await until(knows, 60)
        yield connection
    finally:
        await asyncio.to_thread(connection.close)


def ask(at: Connection, who: Identity = A) -> Answer:
    return at.gate.check(who)


async def allows(at: Connection, who: Identity = A) -> None:
    async def does() -> bool:
        return ask(at, who).allowed

    await until(does, 30)


def buttons(message: dict[str, Any]) -> dict[str, Target]:
    """Return what the message offers, by verb."""
    found = {}
    for block in message["blocks"]:
        for each in block["elements"] if block["type"] == "actions" else ():
            value = json.loads(each["value"])
            found[each["action_id"].partition(".")[2]] = Target(value["i"], value["e"], value["s"])
    return found


class Chat:
    """What people see of the gate, and what they do."""

    def __init__(self, slack: FakeSlack) -> None:
        self.slack = slack

    async def asks(self, times: int) -> dict[str, Any]:
        """Wait until so many requests were posted and the last one still waits; return its message."""

        async def does() -> bool:
            said = list(self.slack.messages.values())
            return self.slack.connected and len(said) == times and "once" in buttons(said[-1])

        await until(does, 60)
        return list(self.slack.messages.values())[-1]

    async def approves(self, verb: str, message: dict[str, Any], reason: str) -> None:
        before = len(self.slack.modals)
        await self.slack.press(pressed(verb, buttons(message)[verb]), f"press {verb}")

        async def asked() -> bool:
            return len(self.slack.modals) == before + 1

        await until(asked, 30)
        await self.slack.press(submitted(self.slack.modals[-1], reason), f"reason {verb}")

    async def refuses(self, verb: str, message: dict[str, Any], *users: str) -> None:
        for user in users:
            await self.slack.press(pressed(verb, buttons(message)[verb], user), f"{verb} {user}")

        async def told() -> bool:
            return len(self.slack.whispers) == len(users)

        await until(told, 30)


async def test_a_held_call_goes_out_exactly_as_a_person_approves(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site:
        chat = Chat(slack)
        await site.start("a")
        async with gateway(site, "gw-1") as one, gateway(site, "gw-2") as two:
            assert ask(one, CHEAP).allowed
            answers = [ask(at) for at in (one, two) for _ in range(20)]
            assert {answer.denial for answer in answers} == {Denial.APPROVAL}
            message = await chat.asks(1)
            shown = json.dumps(message)
            assert "APPROVAL NEEDED: agent coder-7 at gate dear" in shown
            assert answers[0].approval in shown

            await chat.refuses("once", message, "UVIEW", "UNOBODY", "UELSE")
            assert slack.modals == []
            assert not ask(one).allowed

            await chat.approves("once", message, "the migration needs it")
            await allows(one)
            assert not ask(one).allowed
            message = await chat.asks(2)
            assert not ask(two).allowed, "taken back from the other gateway"

            await chat.approves("run", message, "the rest of it too")
            await allows(one)
            await allows(two, CHILD)
            assert not ask(two, OTHER_RUN).allowed

            await chat.asks(3)
            other = ask(one, OTHER_RUN).approval
            said = await site.command("approve", other, "--for", "1h", "--reason", "so be it")
            assert "approved for a time" in said
            await allows(two, OTHER_RUN)
            await site.command("deny", other, "--reason", "enough")

            async def denied() -> bool:
                return ask(two, OTHER_RUN).denial is Denial.DENIED

            await until(denied, 30)
            site.reconfigure("a", gates=[])
            await allows(two, OTHER_RUN)

        await decided_is_written_down(site)


async def decided_is_written_down(site: Installation) -> None:
    lines = [json.loads(record.value) for record in await site.read(site.named("audit"), 1)]
    assert "gate" in lines.pop()["reason"], "the changed settings"
    found = [(line["actor"], line["verb"], line["outcome"].partition(":")[0]) for line in lines]
    # Three people clicked at once, so who is refused first is chance.
    assert sorted(found[:3]) == [(f"slack:{who}", "once", "refused") for who in ("UELSE", "UNOBODY", "UVIEW")]
    assert found[3:] == [
        ("slack:UOPS", "once", "accepted"),
        ("slack:UOPS", "run", "accepted"),
        (lines[5]["actor"], "span", "accepted"),
        (lines[5]["actor"], "deny", "accepted"),
    ]
