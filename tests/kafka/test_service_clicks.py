"""Every button, pressed over signed HTTP at either of two workers, does what it says: in Slack, gateway and audit."""

import asyncio
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from fake_slack import FakeSlack
from kafka_service import Installation, ServiceWorker
from kafka_slack import (
    LIMIT,
    Sidecar,
    about,
    audited,
    calls,
    incident_of,
    incidents,
    settled,
    sidecar_of,
    site_of,
    target,
)
from slack_room import pressed, submitted
from waiting import until

from alerts.blocks import Target

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
AGENTS = [f"a{number}x" for number in range(10)]


class Case(NamedTuple):
    """A button, the state that offers it, and what is to be seen after it; `says` is of the agent's message."""

    verb: str
    state: str
    reason: str
    says: str
    gateway: int
    commanded: str = ""


CASES = (
    Case("acknowledge", "killed", "", "Acknowledged by <@UOPS>", 403),
    Case("snooze", "killed", "", "Snoozed by <@UOPS>", 403),
    Case("keep", "killed", "", "kept killed", 403, "killed"),
    Case("extend", "killed", "", "kept killed for another hour", 403, "killed"),
    Case("plan", "killed", "a load test", "Marked as planned by <@UOPS>", 200, "released"),
    Case("deny", "held", "", "denied by a person", 403, "killed"),
    Case("approve", "held", "it is a migration", "Released by <@UOPS>", 200, "released"),
)


class Clicks:
    """Presses buttons as Slack would, each at the next worker."""

    def __init__(self, site: Installation, slack: FakeSlack, workers: list[ServiceWorker]) -> None:
        self.site, self.slack, self.workers = site, slack, workers
        self._turn = 0

    async def send(self, payload: dict[str, Any], secret: str = SECRET, at_s: float = 0.0) -> tuple[int, str]:
        self._turn += 1
        worker = self.workers[self._turn % len(self.workers)]
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int(at_s or time.time()))
        signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
        request = urllib.request.Request(f"http://127.0.0.1:{worker.port}/slack/actions", body, headers)

        def post() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return int(response.status), response.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(post)

    async def press(self, case: Case, agent: str) -> None:
        """Press a button and give the reason that it asks for, at another worker."""
        (message,) = about(self.slack, agent)
        offered = [e["action_id"] for b in message["blocks"] if b["type"] == "actions" for e in b["elements"]]
        assert f"brakeline.{case.verb}" in offered
        begun_s, dialogs = time.monotonic(), len(self.slack.modals)
        assert await self.send(pressed(case.verb, target(message))) == (200, "")
        if case.reason:

            async def asked() -> bool:
                return len(self.slack.modals) > dialogs

            await until(asked, 10)
            assert await self.send(submitted(self.slack.modals[-1], case.reason, "UOPS")) == (200, "")
        assert time.monotonic() - begun_s < 6.0, "Slack allows 3 s for each answer"

    async def shows(self, agent: str, text: str) -> None:
        async def does() -> bool:
            return len(about(self.slack, agent)) == 1 and text in json.dumps(about(self.slack, agent)[0]["blocks"])

        try:
            await until(does, 30)
        except TimeoutError:
            raise AssertionError(f"no {text!r} in {about(self.slack, agent)}") from None


async def all_told(site: Installation, slack: FakeSlack) -> dict[str, list[str]]:
    """Wait until each agent has its message; return the agents by what was done to them."""

    async def told() -> bool:
        return all(len(about(slack, agent)) == 1 for agent in AGENTS)

    await until(told, 60)
    found: dict[str, list[str]] = {}
    for row in await incidents(site):
        found.setdefault(row["in_force"], []).append(row["scope"].removeprefix("agent:"))
    return found


def site_over_http(kafka: str, folder: Path, slack: FakeSlack) -> Installation:
    chat = {"token": "xoxb-1", "channel": "C1", "base_url": slack.base_url, "signing_secret": SECRET}
    radius = {"blast_radius": {"max_agents": 2, "max_agents_percent": 0}}
    return site_of(kafka, folder, slack, slack=chat, policy=radius, page={"enabled": False})


async def sees(clicks: Clicks, sidecar: Sidecar, case: Case, agent: str, before: dict[str, Any]) -> None:
    """Check the message, the gateway, the command and the audit after a click."""
    await clicks.shows(agent, case.says)
    await sidecar.answers(agent, case.gateway)
    written = [c for c in await clicks.site.commands() if c.scope == f"agent:{agent}" and c.seq > before["seq"]]
    assert [str(command.state) for command in written] == ([case.commanded] if case.commanded else [])
    if case.verb == "extend":
        assert written[0].expires_at == pytest.approx(before["expires_s"] + 3_600)
    (line,) = [line for line in await audited(clicks.site) if line["scope"] == f"agent:{agent}"]
    assert (line["verb"], line["outcome"], line["actor"]) == (case.verb, "accepted", "slack:UOPS")
    assert line.get("reason", "") == case.reason


async def test_every_button_does_what_it_says_at_whichever_worker_it_is_heard(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, site_over_http(kafka, tmp_path, slack) as site, sidecar_of(site, kafka) as sidecar:
        workers = [await site.start(name) for name in "ab"]
        await settled(workers)
        await site.produce(calls(AGENTS, LIMIT + 1))
        agents = await all_told(site, slack)
        clicks = Clicks(site, slack, workers)
        for case in CASES:
            agent = agents[case.state].pop()
            before = await incident_of(site, agent)
            await sidecar.answers(agent, 403)
            await clicks.press(case, agent)
            await sees(clicks, sidecar, case, agent, before)


async def test_what_is_forged_stale_or_not_allowed_changes_nothing(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, site_over_http(kafka, tmp_path, slack) as site, sidecar_of(site, kafka) as sidecar:
        workers = [await site.start(name) for name in "ab"]
        await settled(workers)
        await site.produce(calls(AGENTS[:1], LIMIT + 1))
        await sidecar.answers(AGENTS[0], 403)
        clicks = Clicks(site, slack, workers)
        await clicks.shows(AGENTS[0], "obeyed by 1 of 1")
        held = target(about(slack, AGENTS[0])[0])
        before = (await incident_of(site, AGENTS[0]), len(await site.commands()))

        keep = pressed("keep", held)
        for _ in workers:
            assert (await clicks.send(keep, secret="forged"))[0] == 401
            assert (await clicks.send(keep, at_s=time.time() - 301))[0] == 401
        assert await audited(site) == []
        for number, refused in enumerate(
            (pressed("keep", held, "UVIEW"), pressed("keep", held, "UNOBODY"),
             pressed("keep", Target(held.incident, held.epoch, held.seq + 7)),
             pressed("keep", Target("no-such-incident", held.epoch, held.seq))), 1
        ):  # fmt: skip
            for turn in (1, 2):
                assert await clicks.send(refused) == (200, "")

                async def whispered(wanted: int = 2 * (number - 1) + turn) -> bool:
                    return len(slack.whispers) == wanted

                await until(whispered, 10)
        words = [each["text"].partition(":")[0].partition(".")[0] for each in slack.whispers]
        assert words == [
            *["You may not act on incidents"] * 4,
            *["It has changed since this button was drawn"] * 2,
            *["This incident is over and forgotten"] * 2,
        ]
        assert {line["outcome"].partition(":")[0] for line in await audited(site)} == {"refused"}
        assert (await incident_of(site, AGENTS[0]), len(await site.commands())) == before
        assert await sidecar.status(AGENTS[0]) == 403
