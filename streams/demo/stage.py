"""Everything that the demo runs: broker, service and gateway, each a process of its own on the loopback interface."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from alerts.gateway.keys import write_keys
from streams.broker import embedded_broker

PREFIX = "demo"
START_S = 60.0
STOP_S = 15.0


class StageError(Exception):
    """A part of the demo didn't start; the message says which, and the end of its log."""


class Stage(Struct, frozen=True):
    """Where the parts listen."""

    bootstrap: str
    service: str
    gateway: str
    settings: Path


@asynccontextmanager
async def stage(folder: Path, bootstrap: str | None) -> AsyncIterator[Stage]:
    """Start broker (the embedded one without `bootstrap`), service and gateway; end them when the context closes.

    `folder` takes keys, configuration and logs. Raises StageError.
    """
    async with AsyncExitStack() as parts:
        address = bootstrap or parts.enter_context(embedded_broker())
        write_keys(folder / "keys")
        ports = free_ports(2)
        settings = _write_settings(folder, address, ports[0], embedded=bootstrap is None)
        run = [sys.executable, "-m", "streams.cli", "run", "--config", str(settings)]
        await parts.enter_async_context(process("service", run, folder))
        gateway = [sys.executable, "-m", "alerts.gateway", "sidecar", "--bootstrap", address, "--prefix", PREFIX]
        gateway += ["--env", "demo", "--trust", str(folder / "keys" / "trust.json")]
        gateway += ["--gateway-id", "demo-gateway", "--listen", f"127.0.0.1:{ports[1]}"]
        await parts.enter_async_context(process("gateway", gateway, folder))
        found = Stage(address, f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", settings)
        await wait_ready("service", f"{found.service}/readyz", folder)
        await wait_ready("gateway", f"{found.gateway}/readyz", folder)
        yield found


def _write_settings(folder: Path, bootstrap: str, port: int, *, embedded: bool) -> Path:
    content = {
        "kafka": {"bootstrap": bootstrap, "transactions": not embedded},
        "topics": {"prefix": PREFIX, "partitions": 4, "timestamp_type": "create", "replication": 1},
        "service": {"app_id": PREFIX, "data_dir": str(folder / "data"), "web_port": port},
        "mode": "armed",
        "keys": {"dir": str(folder / "keys"), "env": "demo"},
        "logs": {"format": "text"},
    }
    path = folder / "brakeline.yaml"
    path.write_text(json.dumps(content, indent=2))  # JSON is YAML.
    return path


def free_ports(number: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for each in sockets:
        each.close()
    return ports


@asynccontextmanager
async def process(
    name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Run a command, its output in `folder`/NAME.log, and end it when the context closes; yields its process id.

    With an environment of its own it runs in `folder`.
    """
    cwd = None if environment is None else folder
    with (folder / f"{name}.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, env=environment, cwd=cwd
        )
        try:
            yield child.pid
        finally:
            if child.returncode is None:
                child.terminate()
                try:
                    await asyncio.wait_for(child.wait(), STOP_S)
                except TimeoutError:
                    child.kill()
                    await child.wait()


async def wait_ready(name: str, url: str, folder: Path, limit_s: float = START_S) -> None:
    """Wait until `url` answers 200. Raises StageError with the end of the log when it takes longer than the limit."""
    deadline = asyncio.get_running_loop().time() + limit_s
    async with aiohttp.ClientSession() as client:
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with client.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    tail = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
    raise StageError(f"the {name} was not ready within {limit_s:.0f} s; the end of its log:\n{tail}")


async def consumed(client: aiohttp.ClientSession, service: str) -> float:
    """Return how many events the service has counted."""
    return (await metered(client, service, "brakeline_events_consumed_total"))[0]


async def metered(client: aiohttp.ClientSession, service: str, *names: str) -> list[float]:
    """Return the values of metrics without labels; one that isn't there is 0."""
    async with client.get(f"{service}/metrics") as answer:
        found = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines())
    return [float(found.get(name, 0.0)) for name in names]


def headers_of(event: Mapping[str, object]) -> dict[str, str]:
    """Return what the gateway tells its sidecar about a call."""
    return {
        "x-brakeline-agent": str(event["agent"]),
        "x-brakeline-team": str(event["team"]),
        "x-run-id": str(event["run_id"]),
        "x-parent-run-ids": str(event["parent_run_id"] or ""),
    }
