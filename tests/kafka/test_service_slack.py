"""Three workers on a real broker, a Slack on loopback and a real sidecar: one message, and clicks that count."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_slack import FakeSlack
from kafka_service import ROOT, Installation
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


async def test_three_workers_one_message_and_a_click_lets_the_sidecar_allow_again(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack) as site, sidecar_of(site, kafka) as sidecar:
        workers = [await site.start(name) for name in "abc"]
        for worker in workers:
            await worker.up()
        await sidecar.answers("runaway", 200)
        await site.produce(calls(["runaway"], LIMIT + 1))
        await sidecar.answers("runaway", 403)

        async def told() -> bool:
            shown = list(slack.messages.values())
            return len(shown) == 1 and "obeyed by 1 of 1" in json.dumps(shown[0]["blocks"]) and slack.connected

        await until(told, 60)
        (message,) = slack.messages.values()
        assert message["text"].startswith("KILLED: agent runaway")
        before = target(message)

        async def drawn() -> bool:
            return any(png.startswith(b"\x89PNG") or b"\x89PNG" in png for png in slack.uploads.values())

        await until(drawn, 30)
        assert slack.files[0]["thread_ts"] == message["ts"]

        async def on_top() -> bool:
            line = next((line for line in (await site.command("top", "--once")).splitlines() if "runaway" in line), "")
            return "killed" in line and "over the ceiling" in line

        await until(on_top, 60)

        await slack.press(pressed("release", before, "UVIEW"), "viewer")
        await slack.press(pressed("release", before, "UNOBODY"), "nobody")
        await slack.press(pressed("release", Target(before.incident, before.epoch, before.seq + 7)), "stale")

        async def whispered() -> bool:
            return len(slack.whispers) == 3

        await until(whispered, 30)
        assert await sidecar.status("runaway") == 403
        assert slack.modals == []

        await slack.press(pressed("release", before), "press")

        async def asked() -> bool:
            return len(slack.modals) == 1

        await until(asked, 30)
        begun_s = time.monotonic()
        await slack.press(submitted(slack.modals[0], "the loop is mended", "UOPS"), "reason")
        await sidecar.answers("runaway", 200)
        took_s = time.monotonic() - begun_s

        async def edited() -> bool:
            (shown,) = slack.messages.values()
            return "RELEASED" in shown["text"] and "on probation until" in json.dumps(shown["blocks"])

        await until(edited, 30)
        assert len(slack.messages) == 1
        assert {"viewer", "nobody", "stale", "press", "reason"} <= set(slack.envelopes_acked)
        lines = await audited(site)
        assert [line["outcome"].partition(":")[0] for line in lines] == ["refused"] * 3 + ["accepted"]
        assert (lines[-1]["actor"], lines[-1]["reason"]) == ("slack:UOPS", "the loop is mended")
        print(f"3 workers, 1 message; from the click's reason to the sidecar's yes {took_s:.2f} s")


async def test_a_storm_of_500_incidents_is_one_digest(kafka: str, tmp_path: Path) -> None:
    names = [f"agent-{number}" for number in range(500)]
    async with FakeSlack() as slack, site_of(kafka, tmp_path, slack, page={"enabled": False}) as site:
        workers = [await site.start(name) for name in "abc"]
        for worker in workers:
            await worker.up()
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
