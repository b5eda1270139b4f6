"""Kill to refusal on a real broker: from the order to the first refused call, by adapter."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.asgi import Brakes as AsgiBrakes
from alerts.gateway.asgi import by_headers
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.gate import Gate
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Role, SigningKey, Trust
from streams.bench.broker import kafka
from streams.bench.figures import spread
from streams.bench.parts import ENV, Place, gateway, place
from streams.commander import Commander, Wiring
from streams.outlet import Outlet
from streams.topics import TopicSpec, ensure_topics

Refused = Callable[[str], Awaitable[bool]]
POLL_S = 0.001
REFUSED_S = 30.0
READY_S = 30.0


def obey(address: str | None = None, kills: int = 200) -> dict[str, Any]:
    """Kill `kills` agents one after another; return `n`, `p50_ms`, `p99_ms` and `max_ms` for each adapter.

    The transports of an SDK and the LiteLLM callback ask as `guard` does.
    """
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        return asyncio.run(_measure(place(bootstrap, Path(folder)), kills))


async def _measure(where: Place, kills: int) -> dict[str, Any]:
    wiring = Wiring(where.client, where.topic("kills"), where.topic("acks"))
    await ensure_topics(wiring.client, [TopicSpec(wiring.kills, compacted=True), TopicSpec(wiring.acks)])
    files = {role: where.folder / "keys" / f"{role}.key" for role in Role}
    keys = {role: SigningKey.parse(path.read_bytes()) for role, path in files.items()}
    trust = Trust.of(*keys.values())
    async with AsyncExitStack() as stack:
        outlet = await stack.enter_async_context(Outlet(wiring.client))
        commander = Commander(wiring, trust, Orders(ENV, "bench", keys), outlet, time.time, lambda *_: None)
        await commander.start()
        stack.push_async_callback(commander.stop)
        adapters = await _adapters(where, wiring, trust, stack)
        samples = await _kills(commander, adapters, kills)
    return {name: spread(found) for name, found in samples.items()}


async def _adapters(where: Place, wiring: Wiring, trust: Trust, stack: AsyncExitStack) -> dict[str, Refused]:
    gate = await _gate(wiring, trust, stack)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    url = await stack.enter_async_context(gateway(where))

    async def sidecar(agent: str) -> bool:
        async with session.get(f"{url}/check", headers={"x-brakeline-agent": agent}) as response:
            return response.status == 403

    return {"guard": _bare(gate), "asgi": _asgi(gate), "sidecar": sidecar}


def _bare(gate: Gate) -> Refused:
    async def bare(agent: str) -> bool:
        return not gate.check(Identity(agent=agent)).allowed

    return bare


def _asgi(gate: Gate) -> Refused:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = AsgiBrakes(answer, gate, by_headers())

    async def asgi(agent: str) -> bool:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        headers = [(b"x-brakeline-agent", agent.encode())]
        await app({"type": "http", "headers": headers}, asyncio.Event().wait, send)  # type: ignore[arg-type]
        return statuses[0] == 403

    return asgi


async def _gate(wiring: Wiring, trust: Trust, stack: AsyncExitStack) -> Gate:
    guard = Guard(ENV, trust, time.time())
    settings = FeedSettings(
        gateway_id="bench", env=ENV, client=wiring.client, kills_topic=wiring.kills, acks_topic=wiring.acks
    )
    feed = Feed(guard, settings)
    await feed.start()
    stack.push_async_callback(feed.stop)
    if not await feed.wait_ready(READY_S):
        raise TimeoutError(f"the gateway wasn't ready within {READY_S:.0f} s")
    return Gate(guard, feed)


async def _kills(commander: Commander, adapters: dict[str, Refused], kills: int) -> dict[str, list[float]]:
    rng, samples = Random(7), {name: list[float]() for name in adapters}
    for number in range(kills):
        await asyncio.sleep(rng.uniform(0.01, 0.1))
        agent = f"agent-{number}"
        kill = Decision(
            at_s=time.time(), scope=f"agent:{agent}", action=Action.KILL, reason="a loop", incident_id=f"bench-{number}"
        )
        begun_s = time.perf_counter()
        waiting = [asyncio.create_task(_until_refused(refused, agent)) for refused in adapters.values()]
        await commander.handle(kill)
        for name, refused_s in zip(adapters, await asyncio.gather(*waiting), strict=True):
            samples[name].append(refused_s - begun_s)
    return samples


async def _until_refused(refused: Refused, agent: str) -> float:
    async with asyncio.timeout(REFUSED_S):
        while not await refused(agent):
            await asyncio.sleep(POLL_S)
    return time.perf_counter()
