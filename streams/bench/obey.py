"""Kill to refusal on a real broker: from the order to the first refused call, by adapter."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.keys import Role, SigningKey, Trust
from streams.bench.broker import kafka
from streams.bench.figures import spread
from streams.bench.gateways import AGENT, OPENERS, Refused, Site
from streams.bench.parts import ENV, Place, place
from streams.commander import Commander
from streams.kill_topic import Wiring
from streams.outlet import Outlet
from streams.topics import TopicSpec, ensure_topics

POLL_S = 0.001
ANSWER_S = 30.0


def obey(address: str | None = None, kills: int = 200) -> dict[str, Any]:
    """Kill and release an agent `kills` times at each adapter; return its `n`, `p50_ms`, `p99_ms` and `max_ms`.

    An adapter whose program isn't installed has `{"left_out": why}`.
    """
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        return asyncio.run(_measure(place(bootstrap, Path(folder)), kills))


async def _measure(where: Place, kills: int) -> dict[str, Any]:
    wiring = Wiring(where.client, where.topic("kills"), where.topic("acks"))
    await ensure_topics(wiring.client, [TopicSpec(wiring.kills, compacted=True), TopicSpec(wiring.acks)])
    files = {role: where.folder / "keys" / f"{role}.key" for role in Role}
    keys = {role: SigningKey.parse(path.read_bytes()) for role, path in files.items()}
    site = Site(where, wiring, Trust.of(*keys.values()))
    figures: dict[str, Any] = {}
    async with Outlet(wiring.client) as outlet:
        commander = Commander(wiring, site.trust, Orders(ENV, "bench", keys), outlet, time.time, lambda *_: None)
        await commander.start()
        try:
            for name, (opener, why_not) in OPENERS.items():
                if absent := why_not():
                    figures[name] = {"left_out": absent}
                    continue
                # One at a time: they would take the processor from one another.
                async with AsyncExitStack() as stack:
                    figures[name] = spread(await _kills(commander, await opener(site, stack), kills))
        finally:
            await commander.stop()
    return figures


async def _kills(commander: Commander, refused: Refused, kills: int) -> list[float]:
    rng, samples = Random(7), list[float]()
    await _until(refused, wanted=False)
    for number in range(kills):
        await asyncio.sleep(rng.uniform(0.01, 0.1))
        begun_s = time.perf_counter()
        waiting = asyncio.create_task(_until(refused, wanted=True))
        await commander.handle(_decision(Action.KILL, f"bench-{number}", "detector"))
        samples.append(await waiting - begun_s)
        await commander.handle(_decision(Action.RELEASE, f"bench-{number}", "user:bench"))
        await _until(refused, wanted=False)
    return samples


def _decision(action: Action, incident: str, actor: str) -> Decision:
    return Decision(
        at_s=time.time(), scope=f"agent:{AGENT}", action=action, reason="a loop", incident_id=incident, actor=actor
    )


async def _until(refused: Refused, *, wanted: bool) -> float:
    async with asyncio.timeout(ANSWER_S):
        while await refused() is not wanted:
            await asyncio.sleep(POLL_S)
    return time.perf_counter()
