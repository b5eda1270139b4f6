"""Three workers on a real broker, a Slack on loopback and a real sidecar: one message, and clicks that count."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_slack import FakeSlack
from kafka_service import Installation
from kafka_slack import LIMIT, audited, calls, incidents, settled, sidecar_of, site_of, target
from slack_room import pressed, submitted
from waiting import until

from alerts.blocks import Target

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


class Thread:
    """What people see in Slack of one installation, and what they do there."""

    def __init__(self, slack: FakeSlack, site: Installation) -> None:
        self.slack, self.site = slack, site

    @property
    def message(self) -> dict[str, Any]:
        (only,) = self.slack.messages.values()
        return only

    async def shows(self, *texts: str) -> None:
        """Wait until the one message says all that."""

        async def does() -> bool:
            shown = json.dumps(list(self.slack.messages.values()))
            return len(self.slack.messages) == 1 and self.slack.connected and all(text in shown for text in texts)

        await until(does, 60)

    async def counts(self, what: Callable[[], int], number: int) -> None:
        async def are() -> bool:
            return what() == number

        await until(are, 60)

    async def has_a_chart(self) -> None:
        await self.counts(lambda: len(self.slack.files), 1)
        assert any(b"\x89PNG" in png for png in self.slack.uploads.values())
        assert self.slack.files[0]["thread_ts"] == self.message["ts"]

    async def refuses_clicks(self) -> None:
        """Press as a viewer, as a stranger, and for a command that isn't in force: each is told so in private."""
        held = target(self.message)
        await self.slack.press(pressed("release", held, "UVIEW"), "viewer")
        await self.slack.press(pressed("release", held, "UNOBODY"), "nobody")
        await self.slack.press(pressed("release", Target(held.incident, held.epoch, held.seq + 7)), "stale")
        await self.counts(lambda: len(self.slack.whispers), 3)
        assert self.slack.modals == []

    async def releases(self, reason: str) -> None:
        await self.slack.press(pressed("release", target(self.message)), "press")
        await self.counts(lambda: len(self.slack.modals), 1)
        await self.slack.press(submitted(self.slack.modals[0], reason, "UOPS"), "reason")


async def until_on_top(site: Installation, agent: str) -> None:
    async def shown() -> bool:
        said = (await site.command("top", "--once")).splitlines()
        return any(agent in line and "killed" in line and "over the ceiling" in line for line in said)

    await until(shown, 60)


async def test_three_workers_one_message_and_a_click_lets_the_sidecar_allow_again(kafka: str, tmp_path: Path) -> None:
    async with (
        FakeSlack() as slack,
        site_of(kafka, tmp_path, slack, page={"enabled": False}) as site,
        sidecar_of(site, kafka) as sidecar,
    ):
        thread = Thread(slack, site)
        await settled([await site.start(name) for name in "abc"])
        await sidecar.answers("runaway", 200)
        await site.produce(calls(["runaway"], LIMIT + 1))
        await sidecar.answers("runaway", 403)
        await thread.shows("KILLED: agent runaway", "obeyed by 1 of 1")
        await thread.has_a_chart()
        await until_on_top(site, "runaway")

        await thread.refuses_clicks()
        assert await sidecar.status("runaway") == 403

        begun_s = time.monotonic()
        await thread.releases("the loop is mended")
        await sidecar.answers("runaway", 200)
        took_s = time.monotonic() - begun_s
        await thread.shows("RELEASED: agent runaway", "on probation until")
        lines = await audited(site)
        assert [line["outcome"].partition(":")[0] for line in lines] == ["refused"] * 3 + ["accepted"]
        assert (lines[-1]["actor"], lines[-1]["reason"]) == ("slack:UOPS", "the loop is mended")
        print(f"3 workers, 1 message; from the click to the sidecar's yes {took_s:.2f} s")


async def test_a_storm_of_500_incidents_is_one_digest(kafka: str, tmp_path: Path) -> None:
    names = [f"agent-{number}" for number in range(500)]
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack, page={"enabled": False}) as site:
        await settled([await site.start(name) for name in "abc"])
        await site.produce(calls(names, 100))
        await site.done()

        await site.produce(calls(names, LIMIT + 1, 1))

        async def all_told() -> bool:
            rows = await incidents(site)
            singles = [row for row in rows if row.get("kind", "single") == "single"]
            told = [row for row in rows if "chat" in row.get("deliveries", {})]
            spoken_for = sum(1 for row in singles if row.get("parent") or "chat" in row.get("deliveries", {}))
            return len(singles) == spoken_for == 500 and len(told) == len(slack.messages) > 0

        try:
            await until(all_told, 90)
        except TimeoutError:
            raise AssertionError(f"{len(await incidents(site))} incidents, told {slack.shown}") from None
        assert any("incidents at once" in text for text in slack.shown), slack.shown
        assert len(slack.messages) <= 5, slack.shown
        print(f"500 incidents: {len(slack.messages)} messages: {slack.shown}")
