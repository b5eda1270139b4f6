"""Settings that change while events flow: nothing is lost, what is known stays, a broken file changes nothing.

`BRAKELINE_STORM=1` makes it 5,000 events a second for a minute.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_fleet import hours_by_hand
from kafka_service import PARTITIONS, Installation, ServiceWorker
from waiting import until

from detectors.memory import AgentMemory
from detectors.row import unpack
from streams.produce import Pace

FULL = os.environ.get("BRAKELINE_STORM") == "1"
RATE, SECONDS = (5_000, 60) if FULL else (1_000, 15)
AGENTS = 300
FIRST, SECOND, THIRD = "victim-1", "victim-2", "victim-3"

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


def flow(start_s: float) -> Iterator[bytes]:
    """Calm agents, and three of them that only a limit could ever stop."""
    names = [*(f"agent-{number}" for number in range(AGENTS - 3)), FIRST, SECOND, THIRD]
    for number in range(RATE * SECONDS):
        at_s = round(start_s + number / RATE, 4)
        yield msgspec.json.encode(
            {
                "event_id": f"e{number}", "ts": at_s, "ingest_ts": at_s, "agent": names[number % AGENTS],
                "team": f"team-{number % 7}", "model": "gpt-4o-mini", "input_tokens": 600 + number % 400,
                "output_tokens": 60, "run_id": f"r{number}", "status": "ok", "latency_ms": 300,
            }
        )  # fmt: skip


def limited(*agents: str) -> list[dict[str, Any]]:
    return [{"scope": f"agent:{agent}", "tokens": 10, "per": "hour"} for agent in agents]


class Worker:
    """One service under a flow of events, and what its settings file is made to say."""

    def __init__(self, site: Installation, process: ServiceWorker) -> None:
        self.site, self.process = site, process

    async def reads(self, **changes: Any) -> None:
        """Change the file and wait until it has been read."""
        before = await self.process.metric("brakeline_config_last_reload_timestamp_seconds")
        self.site.reconfigure("a", **changes)

        async def read() -> bool:
            return await self.process.metric("brakeline_config_last_reload_timestamp_seconds") > before

        await until(read, 30)

    async def stops(self, agent: str) -> None:
        async def stopped() -> bool:
            return f"agent:{agent}" in {c.scope for c in await self.site.commands() if c.state == "killed"}

        await until(stopped, 30)

    async def refuses(self, text: str) -> None:
        """Break the file and wait until that is said."""
        self.site.file_of("a").write_text(text)

        async def refused() -> bool:
            return await self.process.metric("brakeline_config_last_reload_successful") == 0

        await until(refused, 30)


async def test_settings_change_while_events_flow(kafka: str, tmp_path: Path) -> None:
    async with Installation(kafka, tmp_path) as site:
        worker = Worker(site, await site.start("a"))
        await worker.process.up()
        start_s = time.time()
        flowing = asyncio.ensure_future(site.produce(flow(start_s), Pace(1.0)))
        await worker.reads(limits=limited(FIRST))
        await worker.stops(FIRST)
        await worker.reads(limits=limited(FIRST, SECOND))
        await worker.refuses("mode: armed\npolicy:\n  cooldown_s: soon\n")
        await worker.stops(SECOND)
        worker.process.process.send_signal(signal.SIGHUP)
        await worker.reads(limits=limited(FIRST, SECOND, THIRD), kafka={"bootstrap": "elsewhere:9092"})
        await worker.stops(THIRD)
        assert not flowing.done(), "the events ended before the changes did"
        await flowing
        await site.done(240)
        took_s = time.time() - start_s

        events = RATE * SECONDS
        consumed = await worker.process.metric("brakeline_events_consumed_total")
        booked = {w: await worker.process.metric(f"brakeline_events_{w}_total") for w in BOOKED}
        assert consumed == events == sum(booked.values())
        assert booked == {"accepted": events, "duplicate": 0, "late": 0, "quarantined": 0}
        hours = await site.hours()
        assert {key: usage[:2] for key, usage in hours.items()} == hours_by_hand(flow(start_s))
        calls = await judged(site)
        assert {a: calls[a] for a in calls if not a.startswith("victim")} == dict.fromkeys(
            (f"agent-{number}" for number in range(AGENTS - 3)), events // AGENTS
        )
        said = "\n".join(worker.process.lines)
        assert f"{site.file_of('a')}:3: policy.cooldown_s: 'soon'" in said
        assert "Restart the workers for kafka.bootstrap and kafka.session_timeout_ms: until then" in said
        assert {c.scope for c in await site.commands()} == {f"agent:{a}" for a in (FIRST, SECOND, THIRD)}
        assert await worker.process.metric("brakeline_config_restart_needed") == 2
        print(f"{events} events at {RATE}/s, judged within {took_s:.0f} s; 3 reloads, 1 refused; 0 lost, 0 twice")


BOOKED = ("accepted", "duplicate", "late", "quarantined")


async def judged(site: Installation) -> Counter[str]:
    """Return how many calls of each agent the judge remembers, from the rows that a restart would read."""
    rows = {r.key: r.value for r in await site.read(site.changelog, PARTITIONS)}
    prefix = b"j:agents:"
    found = {k[len(prefix) :].decode(): v for k, v in rows.items() if k.startswith(prefix) and v is not None}
    return Counter({agent: unpack(AgentMemory(), row).calls for agent, row in found.items()})
