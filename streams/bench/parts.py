"""The parts of an installation as processes of their own, with topics of their own on the given Kafka."""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from alerts.gateway.keys import write_keys
from streams.demo.stage import StageError, free_ports, metered, process, wait_ready
from streams.settings import Settings, load

ENV = "bench"
POLL_S, GIVE_UP_S = 0.25, 300.0
WATCHED = 0.8
"""The part of the events that is measured."""
JUDGED = ("brakeline_events_consumed_total", "brakeline_events_unwritten")
"""Whatever a worker has judged is either written, or will be soon."""

Figures = dict[str, float]


class Place(Struct, frozen=True):
    """One installation: where its Kafka is, the prefix of its topics, and the folder of its files."""

    bootstrap: str
    prefix: str
    folder: Path

    @property
    def client(self) -> dict[str, Any]:
        """The arguments of any aiokafka client."""
        return {"bootstrap_servers": self.bootstrap}

    def topic(self, what: str) -> str:
        """Return the name of one of its topics."""
        return f"{self.prefix}.{what}"

    def settings(self, **changes: Any) -> Settings:
        """Write the settings file, with other values for some sections, and return what it says."""
        content = {
            "kafka": {"bootstrap": self.bootstrap},
            "topics": {"prefix": self.prefix, "partitions": 4, "replication": 1},
            "mode": "armed",
            "keys": {"dir": str(self.folder / "keys"), "env": ENV},
            "logs": {"format": "text", "level": "warning"},
            "policy": {"blast_radius": {"max_agents": 1_000_000}},
            **changes,
        }
        content["service"] = {
            "app_id": self.prefix,
            "data_dir": str(self.folder / "data"),
            "web_port": free_ports(1)[0],
        }
        path = self.folder / "brakeline.yaml"
        path.write_text(json.dumps(content))  # JSON is YAML.
        return load(path)


def place(bootstrap: str, folder: Path) -> Place:
    """Return a new installation with keys, and names that nobody else uses."""
    folder.mkdir(exist_ok=True)
    write_keys(folder / "keys")
    return Place(bootstrap, f"bench-{secrets.token_hex(4)}", folder)


@asynccontextmanager
async def service(where: Place, settings: Settings, core: int | None = None) -> AsyncIterator[tuple[str, int]]:
    """Run a worker, pinned to a core if asked; yields its URL and its process id."""
    command = [sys.executable, "-m", "streams.bench.service", str(where.folder / "brakeline.yaml")]
    url = f"http://127.0.0.1:{settings.service.web_port}"
    async with process("service", command + ([] if core is None else [str(core)]), where.folder) as pid:
        await wait_ready("service", f"{url}/readyz", where.folder)
        yield url, pid


async def watched(where: Place, settings: Settings, events: int, core: int) -> Figures:
    """Run a worker and watch it by its own counts: from the first events on, until four fifths of `events` were judged.

    So does a Stopwatch: neither a start nor the last few events of a partition are the speed at which a worker reads.
    Raises StageError if it takes too long, or was too far before it could be watched.
    """
    async with service(where, settings, core) as (url, pid), aiohttp.ClientSession() as client:
        first = await _judged(client, url, 1)
        begun_s, begun_cpu_s = time.perf_counter(), _cpu_s(pid)
        if first >= (1 - WATCHED) * events:
            raise StageError("the service was too far before it could be watched: measure with more events")
        seen = await _judged(client, url, first + WATCHED * events)
        wall_s, cpu_s = time.perf_counter() - begun_s, _cpu_s(pid) - begun_cpu_s
    return {"events": seen - first, "wall_s": wall_s, "cpu_s": cpu_s}


async def _judged(client: aiohttp.ClientSession, url: str, least: float) -> float:
    """Return how many events the service has judged once it is at least so many."""
    asked_s = time.perf_counter()
    while (seen := sum(await metered(client, url, *JUDGED))) < least:
        if time.perf_counter() - asked_s > GIVE_UP_S:
            raise StageError(f"the service judged {seen:.0f} of {least:.0f} events in {GIVE_UP_S:.0f} s")
        await asyncio.sleep(POLL_S)
    return seen


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def gateway(where: Place) -> AsyncIterator[str]:
    """Run a sidecar; yields its URL."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "alerts.gateway", "sidecar", "--bootstrap", where.bootstrap]
    command += ["--prefix", where.prefix, "--trust", str(where.folder / "keys" / "trust.json"), "--env", ENV]
    command += ["--gateway-id", "bench-gateway", "--listen", f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    async with process("gateway", command, where.folder):
        await wait_ready("gateway", f"{url}/readyz", where.folder)
        yield url
