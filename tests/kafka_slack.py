"""The service as processes, with a Slack on loopback and a real sidecar: how they are set up and what they say."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_slack import FakeSlack
from kafka_service import ROOT, Installation, ServiceWorker
from real_kafka import free_ports
from waiting import until

from alerts.blocks import Target
from streams.assembly import trust_file

LIMIT = 10_000


def calls(agents: Iterable[str], tokens: int, number: int = 0, team: str = "") -> list[bytes]:
    """One call of each agent, now; every agent is of a team of its own unless one is named."""
    now_s = round(time.time(), 3)
    return [
        json.dumps(
            {
                "event_id": f"{agent}-{number}", "ts": now_s, "ingest_ts": now_s, "agent": agent,
                "team": team or f"t-{agent}", "model": "gpt-4o", "input_tokens": tokens, "output_tokens": 10,
                "run_id": f"r-{agent}", "status": "ok",
            }
        ).encode()
        for agent in agents
    ]  # fmt: skip


def site_of(kafka: str, folder: Path, fake: FakeSlack, **more: Any) -> Installation:
    given = {
        "limits": [{"scope": "agent:*", "tokens": LIMIT, "per": "hour"}],
        "slack": {"token": "xoxb-1", "app_token": "xapp-1", "channel": "C1", "base_url": fake.base_url},
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


async def settled(workers: Sequence[ServiceWorker]) -> None:
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


async def incidents(site: Installation) -> list[dict[str, Any]]:
    rows = {record.key: record.value for record in await site.read(site.named("incidents"), 1)}
    return [json.loads(value) for value in rows.values() if value is not None]


async def incident_of(site: Installation, agent: str) -> dict[str, Any]:
    """Return the incident of an agent, as its row says."""
    (found,) = [row for row in await incidents(site) if row["scope"] == f"agent:{agent}"]
    return found


def about(slack: FakeSlack, agent: str) -> list[dict[str, Any]]:
    """Return the messages about an agent; of the names here none begins with another."""
    return [message for message in slack.messages.values() if f": agent {agent}" in message["text"]]
