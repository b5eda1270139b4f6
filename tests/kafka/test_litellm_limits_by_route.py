"""Limits on every route of the real LiteLLM proxy, and in two of its workers at once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiohttp.test_utils import TestServer
from litellm_limited import LIMIT, limited_proxy
from litellm_routes import ROUTES, STREAMS, TOOK, Provider
from real_gateways import needs
from waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), needs("litellm")]
WORKERS = 2
MOST = {"max_tokens": LIMIT}


class Caller:
    """Calls the proxy's routes; a probe asks for more than what one call of a route leaves."""

    def __init__(self, client: ClientSession, url: str) -> None:
        self._client, self._url = client, url

    async def call(self, key: str, route: str, **more: Any) -> tuple[int, str]:
        headers = {"authorization": f"Bearer sk-{key}", "connection": "close"}
        body = {**ROUTES[route], **more}
        async with self._client.post(self._url + route, json=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def is_told(self, key: str, words: str) -> bool:
        return words in (await self.call(key, "/v1/chat/completions", **MOST))[1]


async def test_each_route_reserves_and_is_settled_with_what_it_took_a_stream_too(kafka: str, tmp_path: Path) -> None:
    provider = Provider()
    async with (
        TestServer(provider.app) as server,
        limited_proxy(kafka, tmp_path, server.port or 0) as (url, _),
        ClientSession(timeout=ClientTimeout(60)) as client,
    ):
        caller = Caller(client, url)

        async def warm() -> bool:
            return (await caller.call("warm", "/v1/chat/completions", max_tokens=9))[0] == 200

        await until(warm, 60)
        wrong = [found for each in calls() if (found := await unsettled(caller, *each)) is not None]
        assert not wrong, "\n".join(wrong)
        before = provider.calls
        for key in (key_of(*each) for each in calls()):
            await is_refused_everywhere(caller, key)
        assert provider.calls == before


def calls() -> list[tuple[str, bool]]:
    return [(route, stream) for route in ROUTES for stream in ((False, True) if route in STREAMS else (False,))]


def key_of(route: str, stream: bool) -> str:
    return f"{route.strip('/').replace('/', '-')}-{stream}"


async def unsettled(caller: Caller, route: str, stream: bool) -> str | None:
    """Call; say what the proxy takes for used if that isn't what the provider says of the call."""
    key, more = key_of(route, stream), {"stream_options": {"include_usage": True}} if "chat" in route else {}
    status, text = await caller.call(key, route, **({"stream": True, **more} if stream else {}))
    assert status == 200, (key, text)
    try:
        await until(lambda: caller.is_told(key, f" {TOOK:,} tokens used or reserved"), 10)
    except TimeoutError:
        return f"{key}: {await caller.call(key, '/v1/chat/completions', **MOST)}"
    return None


async def is_refused_everywhere(caller: Caller, key: str) -> None:
    for route, body in ROUTES.items():
        more = {"input": "x" * 30_000} if route == "/v1/embeddings" else {}
        most = {name: LIMIT for name in body if name.startswith("max_")}
        status, text = await caller.call(key, route, **most, **more)
        assert (status, "limit_reached" in text) == (403, True), (key, route, text)


async def test_two_workers_share_a_limit_and_together_never_pass_it(kafka: str, tmp_path: Path) -> None:
    provider = Provider()
    async with (
        TestServer(provider.app) as server,
        limited_proxy(kafka, tmp_path, server.port or 0, WORKERS) as (url, made),
        ClientSession(timeout=ClientTimeout(60)) as client,
    ):
        caller = Caller(client, url)
        commander = made.commander

        async def both_report() -> bool:
            await caller.call("warm", "/v1/chat/completions", max_tokens=9)
            return len(commander.coverage.live(time.time())) == WORKERS

        await until(both_report, 90)
        before = provider.calls
        # Each may take 900 and a little: ten at most fit, whoever has how much of the limit.
        answers = await asyncio.gather(
            *(caller.call("burst", "/v1/chat/completions", max_tokens=995) for _ in range(40))
        )
        passed = [status for status, _ in answers if status == 200]
        assert {status for status, _ in answers} == {200, 403}
        assert provider.calls - before == len(passed)
        assert 2 <= len(passed) <= LIMIT // 1_000
