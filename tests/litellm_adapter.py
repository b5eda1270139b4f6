"""The real LiteLLM proxy as an adapter of the conformance suite: one process for all tests, each with its own guard."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from gateways import TEAMS, Adapter, HttpxAdapter, Opener, Upstream
from real_kafka import free_ports, select_s

from alerts.gateway.fake import FakeGateway
from streams.bench.real_gateways import ROOT, tool

START_S = 200.0
AUTH = f"""
from litellm.proxy._types import UserAPIKeyAuth

async def auth(request, api_key):
    name = api_key.removeprefix("sk-")
    return UserAPIKeyAuth(api_key=api_key, key_alias=name, team_id={TEAMS!r}.get(name))
"""


class LiteLlmAdapter(HttpxAdapter):
    """Speaks chat completions; a chunk is told as the upstream told it."""

    path = "/v1/chat/completions"

    async def stream(self, agent: str) -> AsyncIterator[bytes]:
        async with self._client.stream(
            "POST", self.path, json={**self.body, "stream": True}, headers=self._headers(agent)
        ) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    event: Any = json.loads(line.removeprefix("data: "))
                    content = event["choices"][0]["delta"].get("content") if "choices" in event else None
                    if content or "error" in event:
                        yield f"data: {content}\n\n".encode() if content else f"{line}\n\n".encode()


@contextmanager
def litellm_opener(folder: Path) -> Iterator[Opener]:
    """Run the proxy; yields what opens an adapter of it."""
    port, relay = free_ports(2)
    state = folder / "state"
    state.touch()
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "x", "num_retries": 0,
               "api_base": f"http://127.0.0.1:{relay}/v1"}} for name in ("large", "small")]  # fmt: skip
    settings = {"callbacks": ["litellm_mirror.brakes"], "num_retries": 0}
    config = {"model_list": models, "litellm_settings": settings, "general_settings": {"custom_auth": "auth.auth"}}
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "auth.py").write_text(AUTH)
    (folder / "litellm_mirror.py").symlink_to(ROOT / "tests" / "litellm_mirror.py")
    (folder / "brakeline_gateway").symlink_to(ROOT / "alerts" / "gateway")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder), "MIRROR": str(state),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": "sk-master",
    }  # fmt: skip
    command = [tool("litellm") or "litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_until_alive(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield opener(f"http://127.0.0.1:{port}", relay, state)
        finally:
            process.kill()
            process.wait()


def wait_until_alive(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(int(START_S / 0.2)):
        assert process.poll() is None, "the proxy ended: see its log"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        select_s(0.2)
    raise TimeoutError(url)


def opener(url: str, relay_port: int, state: Path) -> Opener:
    @asynccontextmanager
    async def opened(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
        def tell() -> None:
            beside = state.with_suffix(".new")
            trust = msgspec.json.encode(gateway.trust)
            beside.write_bytes(msgspec.msgpack.encode((trust, gateway.guard.snapshot())))
            beside.replace(state)

        def telling(change: Callable[..., None]) -> Callable[..., None]:
            def changed(*arguments: Any, **more: Any) -> None:
                change(*arguments, **more)
                tell()

            return changed

        gateway.order = telling(gateway.order)  # type: ignore[method-assign]
        gateway.gate = telling(gateway.gate)  # type: ignore[method-assign]
        gateway.limit = telling(gateway.limit)  # type: ignore[method-assign]
        tell()
        async with relayed(relay_port, upstream), httpx.AsyncClient(base_url=url, timeout=20) as client:
            yield LiteLlmAdapter(client, lambda agent: {"authorization": f"Bearer sk-{agent}"})

    return opened


@asynccontextmanager
async def relayed(port: int, upstream: Upstream) -> AsyncIterator[None]:
    """Hand what arrives at a port that the proxy knows on to the upstream of one test."""
    target = int(upstream.url.rpartition(":")[2])
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", target)
        for one in (pump(reader, forth), pump(back, writer)):
            tasks.add(asyncio.create_task(one))

    server = await asyncio.start_server(relay, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
