"""Events a second of one worker on one core, beside an idiomatic Faust agent and a bare loop over the same topic."""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from streams.bench.broker import kafka
from streams.bench.load import lines
from streams.bench.parts import Place, place, service
from streams.demo.stage import StageError, consumed
from streams.produce import produce, records
from streams.settings import Settings
from streams.topology import prepare_topics

AGENTS = 1_000
PER_S = 500.0
CORE = 0
POLL_S = 0.1
GIVE_UP_S = 300.0


def throughput(address: str | None = None, events: int = 300_000, faust_events: int = 20_000) -> dict[str, Any]:
    """Measure all three on one topic of four partitions that was filled before, each pinned to the same core.

    `..._per_cpu_s` are events a second of processor time: what the core yields when nobody else is on it.
    """
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        return asyncio.run(_measure(place(bootstrap, Path(folder)), events, faust_events))


async def _measure(where: Place, events: int, faust_events: int) -> dict[str, Any]:
    topics = {"prefix": where.prefix, "partitions": 4, "replication": 1, "timestamp_type": "create"}
    settings = where.settings(topics=topics)
    await prepare_topics(settings)
    start_s = time.time() - events / PER_S
    await produce(records(lines(events, AGENTS, start_s, PER_S)), where.client, where.topic("events"))
    topic = where.topic("events")
    bare = await _child("bare", where.bootstrap, topic, str(round(events * 0.8)), str(CORE))
    faust = await _child("faust_agent", where.bootstrap, topic, f"{where.prefix}-faust", str(faust_events), str(CORE))
    ours = await _service(where, settings, events)
    found: dict[str, Any] = {"events": events}
    for name, figures in (("service", ours), ("faust", faust), ("bare", bare)):
        found[f"{name}_events_per_s"] = round(figures["events"] / figures["wall_s"])
        found[f"{name}_events_per_cpu_s"] = round(figures["events"] / figures["cpu_s"])
    for name in ("faust", "bare"):
        found[f"ratio_{name}"] = round(found["service_events_per_s"] / found[f"{name}_events_per_s"], 2)
        found[f"ratio_{name}_cpu"] = round(found["service_events_per_cpu_s"] / found[f"{name}_events_per_cpu_s"], 2)
    return found


async def _child(module: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", f"streams.bench.{module}", *arguments]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(GIVE_UP_S):
            out, err = await child.communicate()
    except TimeoutError:
        child.kill()
        raise StageError(f"{module} took longer than {GIVE_UP_S:.0f} s") from None
    if not out.strip():
        raise StageError(f"{module} measured nothing: {err.decode(errors='replace')[-1000:]}")
    figures: dict[str, float] = json.loads(out.splitlines()[-1])
    return figures


async def _service(where: Place, settings: Settings, events: int) -> dict[str, float]:
    """Watch a worker by its own count, from the first look after its start to the last event."""
    async with service(where, settings, CORE) as (url, pid), aiohttp.ClientSession() as client:
        begun_s, begun_cpu_s, first = time.perf_counter(), _cpu_s(pid), await consumed(client, url)
        seen = first
        while seen < events:
            await asyncio.sleep(POLL_S)
            seen = await consumed(client, url)
            if time.perf_counter() - begun_s > GIVE_UP_S:
                raise StageError(f"the service counted {seen:.0f} of {events} events in {GIVE_UP_S:.0f} s")
        wall_s, cpu_s = time.perf_counter() - begun_s, _cpu_s(pid) - begun_cpu_s
    if first >= events:
        raise StageError("the service was done before it could be watched: measure with more events")
    return {"events": seen - first, "wall_s": wall_s, "cpu_s": cpu_s}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
