"""The storm: 300 concurrent callers on 3 gateways never pass a ceiling by more than the bound.

`BRAKELINE_STORM=1` makes it 100 storms.
"""

import asyncio
import json
import os
from random import Random

import httpx
from limiting import limited_guard
from signing import COMMANDER, ENV

from alerts.apportion import Apportioner
from alerts.gateway.gate import Gate
from alerts.gateway.httpx import AsyncBrakes
from alerts.gateway.identity import Identity
from alerts.gateway.limits import Limit, sign
from alerts.gateway.wire import Ack

DOLLAR = Limit("agent:a", "micro_usd", "hour", 1_000_000)
GATEWAYS, CALLERS, CALLS_EACH = ("gw-0", "gw-1", "gw-2"), 300, 3
SEEDS = 100 if os.environ.get("BRAKELINE_STORM") == "1" else 20


class Storm:
    """Callers, three gateways with their transports, and the service that shares the limit out while they call."""

    def __init__(self, seed: int, honest: bool) -> None:
        self.rng, self.honest = Random(seed), honest
        self.spent = self.low = self.refused = 0
        self.service = Apportioner(ENV, 2, 100.0)
        self.guards = {name: limited_guard(DOLLAR, name=name, share=None) for name in GATEWAYS}
        self.report_all(), self.report_all(), self.report_all()

    def report(self, name: str) -> None:
        shares, use = self.guards[name].budget.report(100.0)
        ack = Ack(gateway=name, env=ENV, at=100.0, state="live", offset=0, epoch=1, seq=1, shares=shares, use=use)
        self.service.hear(ack, 100.0)
        for given in self.service.due(100.0):
            self.guards[given.gateway].apply_rules(f"shares:{given.gateway}", sign(given, COMMANDER), 100.0)

    def report_all(self) -> None:
        for name in GATEWAYS:
            self.report(name)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self.rng.randrange(1, 6)):
            await asyncio.sleep(0)
        most = json.loads(request.content)["max_tokens"]
        estimate = len(request.content) // 3 + 1 + most
        used = int(estimate * (self.rng.random() if self.honest else self.rng.lognormvariate(0, 0.7)))
        self.spent += used
        self.low += max(0, used - estimate)
        usage = {"prompt_tokens": used // 2, "completion_tokens": used - used // 2}
        return httpx.Response(200, json={"model": "m", "usage": usage})

    async def call(self, client: httpx.AsyncClient, name: str) -> None:
        for _ in range(CALLS_EACH):
            await asyncio.sleep(0)
            body = {"model": "m", "max_tokens": self.rng.randrange(1, 20_000), "messages": []}
            response = await client.post("http://upstream/v1/chat/completions", json=body)
            self.refused += response.status_code == 403
            if self.rng.random() < 0.05:
                self.report(name)

    async def run(self) -> None:
        inner = httpx.MockTransport(self.answer)
        clients = []
        for name, guard in self.guards.items():
            brakes = AsyncBrakes(Gate(guard, clock=lambda: 100.0), Identity(agent="a"), inner)
            clients.append((httpx.AsyncClient(transport=brakes), name))
        calls = [self.call(*self.rng.choice(clients)) for _ in range(CALLERS)]
        await asyncio.gather(*calls)
        for client, _ in clients:
            await client.aclose()


def test_no_storm_spends_more_than_the_limit_and_what_its_estimates_were_too_low() -> None:
    done = [Storm(seed, honest=seed % 2 == 0) for seed in range(SEEDS)]
    for storm in done:
        asyncio.run(storm.run())
    assert all(storm.spent <= DOLLAR.amount + storm.low for storm in done)
    honest = [storm for storm in done if storm.honest]
    assert all(storm.low == 0 and storm.refused for storm in honest), "who is never refused proves nothing"
    assert min(storm.spent for storm in honest) > DOLLAR.amount / 2
    worst = max(storm.spent for storm in honest), max(storm.spent for storm in done) - DOLLAR.amount
    print(f"worst of {SEEDS} storms: spent ${worst[0] / 1e6:.4f} of $1 where estimates are never too low,")
    print(f"overspent ${worst[1] / 1e6:.4f} where they are")
