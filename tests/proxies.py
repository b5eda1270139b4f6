"""The example configurations of deploy/gateways, each in its real proxy in front of the fake upstream."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from aiohttp.test_utils import TestServer, unused_port
from gateways import Adapter, HttpxAdapter, Upstream
from real_gateways import needs
from waiting import until

from alerts.gateway.fake import FakeGateway
from alerts.gateway.sidecar import Sidecar
from streams.bench.real_gateways import EXAMPLES, rendered, tool


class Proxy(NamedTuple):
    """A proxy's example, and how it is run: arguments from the file's name and the port to listen on."""

    example: str
    arguments: Callable[[str, int], list[str]]


PROXIES = {
    "nginx": Proxy(
        "nginx.conf", lambda file, _: ["-p", ".", "-c", file, "-e", "stderr", "-g", "daemon off; master_process off;"]
    ),
    "envoy": Proxy("envoy.yaml", lambda file, _: ["-c", file, "--disable-hot-restart", "--concurrency", "1"]),
    "traefik": Proxy(
        "traefik-dynamic.yaml",
        lambda file, port: [f"--entrypoints.models.address=127.0.0.1:{port}", f"--providers.file.filename={file}"],
    ),
    "caddy": Proxy("Caddyfile", lambda file, _: ["run", "--config", file, "--adapter", "caddyfile"]),
}


@asynccontextmanager
async def running(name: str, folder: Path, **ports: int) -> AsyncIterator[httpx.AsyncClient]:
    """Run a proxy by its example; yields a client of it."""
    proxy, log = PROXIES[name], folder / f"{name}.log"
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / proxy.example).write_text(rendered((EXAMPLES / proxy.example).read_text(), **ports))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            tool(name) or name, *proxy.arguments(proxy.example, ports["proxy"]),
            cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['proxy']}", timeout=10) as client:
            await until_answers(client, process, log)
            yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_answers(client: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Path) -> None:
    async def answers() -> bool:
        if process.returncode is not None:
            pytest.fail(f"the proxy ended:\n{await asyncio.to_thread(log.read_text)}")
        with suppress(httpx.TransportError):
            answer = await client.get("/v1/chat", headers={"authorization": "nobody"})
            return answer.status_code == 405  # The upstream's own word: it wants a POST.
        return False

    await until(answers, 20)


def opener(name: str) -> Any:
    """Return what opens the adapter of a proxy: the key says who calls, and a lie about it is told along."""

    @asynccontextmanager
    async def opened(gateway: FakeGateway, upstream: Upstream, folder: Path) -> AsyncIterator[Adapter]:
        provider = int(upstream.url.rpartition(":")[2])
        async with TestServer(Sidecar(gateway.guard, clock=gateway.clock).app()) as sidecar:
            assert sidecar.port is not None
            async with running(name, folder, proxy=unused_port(), sidecar=sidecar.port, provider=provider) as client:
                yield HttpxAdapter(client, lambda agent: {"authorization": f"Bearer key-of-{agent}", **LIES})

    return opened


LIES = {"x-brakeline-agent": "b", "x-brakeline-team": "u", "x-brakeline-model": "mine"}
ADAPTERS = [pytest.param(opener(name), id=name, marks=needs(name)) for name in PROXIES]
