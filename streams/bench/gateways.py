"""One call through each adapter, on a site of real parts: did the gateway refuse it?"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

import aiohttp
from msgspec import Struct

from alerts.gateway.asgi import Brakes as AsgiBrakes
from alerts.gateway.asgi import by_headers
from alerts.gateway.conformance.provider import Provider
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.gate import Gate
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Trust
from streams.bench import real_gateways
from streams.bench.parts import ENV, Place, gateway
from streams.demo.stage import free_ports
from streams.kill_topic import Wiring

AGENT = "a"
READY_S = 30.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}

Refused = Callable[[], Awaitable[bool]]


class Site(Struct, frozen=True):
    """An installation, the topics of its kills, and whom its gateways trust."""

    where: Place
    wiring: Wiring
    trust: Trust


async def guard(site: Site, stack: AsyncExitStack) -> Refused:
    """The guard alone, fed from Kafka."""
    gate = await _gate(site, stack)

    async def refused() -> bool:
        return not gate.check(Identity(agent=AGENT)).allowed

    return refused


async def asgi(site: Site, stack: AsyncExitStack) -> Refused:
    """The ASGI middleware around an application that answers at once."""

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = AsgiBrakes(answer, await _gate(site, stack), by_headers())

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def refused() -> bool:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        headers = [(b"x-brakeline-agent", AGENT.encode())]
        await app({"type": "http", "path": "/", "headers": headers}, receive, send)
        return statuses[0] == 403

    return refused


async def httpx(site: Site, stack: AsyncExitStack) -> Refused:
    """The httpx transport in front of a provider that answers at once."""
    from httpx import AsyncClient, MockTransport, Response

    from alerts.gateway.httpx import AsyncBrakes

    provider = MockTransport(lambda _: Response(200, json={}))
    transport = AsyncBrakes(await _gate(site, stack), Identity(agent=AGENT), provider)
    client = await stack.enter_async_context(AsyncClient(transport=transport))

    async def refused() -> bool:
        return (await client.post("http://provider.test/", json=CHAT)).status_code == 403

    return refused


async def sidecar(site: Site, stack: AsyncExitStack) -> Refused:
    """The sidecar as a process of its own, asked over HTTP."""
    url = await stack.enter_async_context(gateway(site.where))
    return await _over_http(f"{url}/check", {"x-brakeline-agent": AGENT}, stack)


async def nginx(site: Site, stack: AsyncExitStack) -> Refused:
    """The sidecar behind nginx, in front of a provider."""
    url = await stack.enter_async_context(gateway(site.where))
    asked = int(url.rpartition(":")[2])
    provider = await _provider(stack)
    proxy = await stack.enter_async_context(real_gateways.nginx(site.where.folder, asked, provider))
    return await _over_http(f"{proxy}/v1/chat/completions", {"authorization": f"Bearer key-of-{AGENT}"}, stack)


async def litellm(site: Site, stack: AsyncExitStack) -> Refused:
    """The LiteLLM proxy with our callback, in front of a provider."""
    where = site.where
    kills = real_gateways.Kills(where.bootstrap, where.prefix, ENV, where.folder / "keys" / "trust.json")
    provider = await _provider(stack)
    proxy = await stack.enter_async_context(real_gateways.litellm(where.folder, kills, provider))
    return await _over_http(f"{proxy}/v1/chat/completions", {"authorization": f"Bearer sk-{AGENT}"}, stack)


def _always() -> str:
    return ""


def _with_httpx() -> str:
    return "" if find_spec("httpx") else "httpx is not installed"


def _with(name: str) -> Callable[[], str]:
    return lambda: (
        "" if real_gateways.tool(name) else f"{name} is not installed: make gateways, or your system's package"
    )


OPENERS: dict[str, tuple[Callable[[Site, AsyncExitStack], Awaitable[Refused]], Callable[[], str]]] = {
    "guard": (guard, _always),
    "asgi": (asgi, _always),
    "httpx": (httpx, _with_httpx),
    "sidecar": (sidecar, _always),
    "nginx": (nginx, _with("nginx")),
    "litellm": (litellm, _with("litellm")),
}
"""What opens each adapter, and what says why it can't be."""


async def _gate(site: Site, stack: AsyncExitStack) -> Gate:
    wiring = site.wiring
    settings = FeedSettings(
        gateway_id="bench", env=ENV, client=wiring.client, kills_topic=wiring.kills, acks_topic=wiring.acks
    )
    feed = Feed(Guard(ENV, site.trust, time.time()), settings)
    await feed.start()
    stack.push_async_callback(feed.stop)
    if not await feed.wait_ready(READY_S):
        raise TimeoutError(f"the gateway wasn't ready within {READY_S:.0f} s")
    return Gate(feed.guard, feed)


async def _provider(stack: AsyncExitStack) -> int:
    (port,) = free_ports(1)
    await stack.enter_async_context(Provider().listening("127.0.0.1", port))
    return port


async def _over_http(url: str, headers: dict[str, str], stack: AsyncExitStack) -> Refused:
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)))

    async def refused() -> bool:
        async with session.post(url, json=CHAT, headers=headers) as response:
            await response.read()
            return response.status == 403

    return refused
