"""A sidecar where limits hold: its consent names a ticket, which is settled with the provider's usage."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from limiting import limited_guard

from alerts.gateway.limits import Limit
from alerts.gateway.sidecar import TICKET, Sidecar

UNKNOWN: list[dict[str, Any]] = [{}, {"usage": None}]
WHO = {"x-brakeline-agent": "a"}
TOKENS = Limit("agent:*", "tokens", "hour", 10_000)


async def test_a_call_is_refused_for_what_others_reserved_until_they_are_settled() -> None:
    sidecar = Sidecar(limited_guard(TOKENS), clock=lambda: 100.0)
    async with TestClient(TestServer(sidecar.app())) as client:
        first = await client.get("/check", headers=WHO)
        assert first.status == 200
        refused = await client.get("/check", headers=WHO)
        assert (refused.status, (await refused.json())["error"]["code"]) == (403, "limit_reached")

        usage = {"ticket": first.headers[TICKET], "usage": {"prompt_tokens": 20, "completion_tokens": 5}}
        assert (await client.post("/settle", json=usage)).status == 200
        assert (await client.post("/settle", json=usage)).status == 404
        assert (await client.get("/check", headers=WHO)).status == 200

        text = await (await client.get("/metrics")).text()
        assert 'brakeline_gateway_limit_refusals_total{limit="tokens/hour/agent:*"} 1.0' in text
        assert "brakeline_gateway_reservations_total 2.0" in text
        assert "brakeline_gateway_settlements_total 1.0" in text
        assert "brakeline_gateway_limit_share 1.0" in text


@pytest.mark.parametrize(("told", "is_free"), [*((each, False) for each in UNKNOWN), ({"usage": {}}, True)])
async def test_who_settles_without_telling_the_usage_gives_nothing_back(told: dict[str, Any], is_free: bool) -> None:
    sidecar = Sidecar(limited_guard(TOKENS), clock=lambda: 100.0)
    async with TestClient(TestServer(sidecar.app())) as client:
        first = await client.get("/check", headers=WHO)
        assert (await client.post("/settle", json={"ticket": first.headers[TICKET], **told})).status == 200
        assert (await client.get("/check", headers=WHO)).status == (200 if is_free else 403)
