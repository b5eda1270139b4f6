"""Three workers on a real broker, a Slack on loopback and a real sidecar: one message, and clicks that count."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_slack import FakeSlack
from kafka_service import ROOT, Installation, ServiceWorker
from kafka_workers import until
from real_kafka import free_ports
from slack_room import pressed, submitted

from alerts.blocks import Target
from streams.assembly import trust_file

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
LIMIT = 10_000


def calls(agents: Iterable[str], tokens: int, number: int = 0) -> list[bytes]:
    """One call of each agent, now; every agent is of a team of its own."""
    now_s = round(time.time(), 3)
    return [
        json.dumps(
            {
                "event_id": f"{agent}-{number}", "ts": now_s, "ingest_ts": now_s, "agent": agent, "team": f"t-{agent}",
                "model": "gpt-4o", "input_tokens": tokens, "output_tokens": 10, "run_id": f"r-{agent}", "status": "ok",
            }
        ).encode()
        for agent in agents
    ]  # fmt: skip


def site_of(kafka: str, folder: Path, slack: FakeSlack, **more: Any) -> Installation:
    given = {
        "limits": [{"scope": "agent:*", "tokens": LIMIT, "per": "hour"}],
        "slack": {"token": "xoxb-1", "app_token": "xapp-1", "channel": "C1", "base_url": slack.base_url},
        "slack_users": {"UOPS": "operator", "UVIEW": "viewer"},
        **more,
    }
    return Installation(kafka, folder, **given)


class Sidecar:
    """A sidecar as a gateway runs it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/check"

    def _ask(self, agent: str) -> int:
        request = urllib.request.Request(self._url, headers={"x-brakeline-agent": agent})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    async def answers(self, agent: str, status: int) -> None:
        async def does() -> bool:
            return await asyncio.to_thread(self._ask, agent) == status

        await until(does, 30)

    async def status(self, agent: str) -> int:
        return await asyncio.to_thread(self._ask, agent)


@asynccontextmanager
async def sidecar_of(site: Installation, kafka: str) -> AsyncIterator[Sidecar]:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alerts.gateway", "sidecar", "--bootstrap", kafka, "--prefix", site.name),
        *("--trust", str(trust_file(site.settings)), "--listen", f"127.0.0.1:{port}", "--gateway-id", "gw-1"),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        yield Sidecar(port)
    finally:
        process.terminate()
        await process.wait()


def target(message: dict[str, Any]) -> Target:
    """Return what the message's buttons carry now."""
    values = [e["value"] for b in message["blocks"] if b["type"] == "actions" for e in b["elements"] if "value" in e]
    carried = json.loads(values[0])
    return Target(carried["i"], carried["e"], carried["s"])


async def audited(site: Installation) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in await site.read(site.named("audit"), 1)]


async def settled(workers: list[ServiceWorker]) -> None:
    """Wait until each worker has partitions: nothing changes hands any more, which would cancel a chart under way."""

    def ready(worker: ServiceWorker) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    async def all_ready() -> bool:
        return all([await asyncio.to_thread(ready, worker) for worker in workers])

    await until(all_ready, 60)


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
        await self.counts(lambda: int(any(b"\x89PNG" in png for png in self.slack.uploads.values())), 1)
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
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site, sidecar_of(site, kafka) as sidecar:
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


async def incidents(site: Installation) -> list[dict[str, Any]]:
    rows = {record.key: record.value for record in await site.read(site.named("incidents"), 1)}
    return [json.loads(value) for value in rows.values() if value is not None]
