"""The real LiteLLM proxy with our callback, two worker processes, and a fake upstream."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer
from kafka_service import PARTITIONS, Installation
from real_gateways import needs
from signing import ENV, KEYS, TRUST
from waiting import until

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.keys import TrustRecord
from streams.assembly import trust_file
from streams.bench.real_gateways import Kills, litellm
from streams.commander import Commander
from streams.events import TokenEvent, decode
from streams.kill_topic import Wiring
from streams.outlet import Outlet
from streams.topics import TopicSpec, ensure_topics

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(300),
    needs("litellm"),
]
WORKERS, CHUNKS = 2, 7
CALLS_A_ROUTE = 8
PASSED_ON = "/openai/v1/chat/completions"
"""To a host that LiteLLM knows nothing of."""
STREAMS = ("/v1/chat/completions", PASSED_ON)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "m", "prompt": "x"},
    "/v1/embeddings": {"model": "e", "input": "x"},
    "/v1/responses": {"model": "m", "input": "x"},
    "/v1/messages": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
    PASSED_ON: CHAT,
}
RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "parallel_tool_calls": False,
    "tool_choice": "auto", "tools": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    "output": [{
        "type": "message", "id": "o", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "y", "annotations": []}],
    }],
}  # fmt: skip


class Upstream:
    """Speaks enough of OpenAI to be called; a stream gives a chunk, then waits to be told; a short one all."""

    def __init__(self) -> None:
        self.calls = 0
        self.streams: list[asyncio.Semaphore] = []
        self.app = web.Application()
        self.app.router.add_route("*", "/{rest:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        body = await request.json()
        if body.get("stream"):
            return await self._stream(request, body.get("max_tokens"))
        if request.path.endswith("/responses"):
            return web.json_response({**RESPONSE, "id": f"resp_{uuid.uuid4().hex}"})
        message = {"role": "assistant", "content": "y"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "text": "y", "finish_reason": "stop"}
        data = [{"object": "embedding", "index": 0, "embedding": [0.0]}]
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
             "usage": usage, "data": data}
        )  # fmt: skip

    async def _stream(self, request: web.Request, chunks: int | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        told = asyncio.Semaphore(1)
        self.streams.append(told)
        for number in range(chunks or 1000):
            if chunks is None:
                await told.acquire()
            choice = {"index": 0, "delta": {"content": f"chunk {number} "}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        usage = {"prompt_tokens": 1, "completion_tokens": chunks, "total_tokens": 1 + (chunks or 0)}
        await response.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        return response


def decision(action: Action, scope: str, **fields: Any) -> Decision:
    return Decision(
        at_s=time.time(), scope=scope, action=action, reason="a loop", incident_id=uuid.uuid4().hex, **fields
    )


async def test_the_proxy_obeys_on_every_route_in_every_worker(kafka: str, tmp_path: Path) -> None:
    upstream, prefix = Upstream(), f"test-{uuid.uuid4().hex[:8]}"
    wiring = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks")
    await ensure_topics(wiring.client, [TopicSpec(wiring.kills, compacted=True), TopicSpec(wiring.acks)])
    async with (
        TestServer(upstream.app) as server,
        Outlet(wiring.client) as outlet,
        ClientSession(timeout=ClientTimeout(30)) as client,
    ):
        commander = Commander(wiring, TRUST, Orders(ENV, "w", KEYS), outlet, time.time, lambda *_: None)
        await commander.start()
        try:
            trust = tmp_path / "trust.json"
            trust.write_bytes(msgspec.json.encode(TrustRecord([key.public() for key in KEYS.values()])))
            assert server.port is not None
            kills, models = Kills(kafka, prefix, ENV, trust), {"e": {"model": "openai/e"}}
            async with litellm(tmp_path, kills, server.port, WORKERS, models) as url:
                await obeys(client, url, upstream, commander)
        finally:
            await commander.stop()


async def obeys(client: ClientSession, url: str, upstream: Upstream, commander: Commander) -> None:
    async def call(route: str, key: str = "a") -> tuple[int, Any, Any]:
        headers = {"authorization": f"Bearer sk-{key}", "connection": "close"}
        async with client.post(url + route, json=ROUTES[route], headers=headers) as answer:
            return answer.status, answer.headers, await answer.json()

    async def both_workers_report() -> bool:
        await call("/v1/chat/completions")
        return len(commander.coverage.live(time.time())) == WORKERS

    await until(both_workers_report, 90)
    for route in ROUTES:
        before = upstream.calls
        status, _, body = await call(route)
        assert status == 200, (route, body)
        assert upstream.calls > before, route

    streams = [await streaming(client, url + route, "a") for route in STREAMS]
    outcome = await commander.handle(decision(Action.KILL, "agent:a"))
    name = f"agent:a@{outcome.epoch}.{outcome.seq}"
    await until(lambda: commander.coverage.counts(name, time.time()) == (WORKERS, WORKERS))
    await all_cut(streams, upstream)
    await every_route_refuses(call, upstream, name)
    assert (await call("/v1/chat/completions", "b"))[0] == 200

    await commander.handle(decision(Action.RELEASE, "agent:a", actor="user:x", releases_seq=outcome.seq))
    name = f"agent:a@{outcome.epoch}.{outcome.seq + 1}"
    await until(lambda: commander.coverage.counts(name, time.time()) == (WORKERS, WORKERS))
    assert (await call("/v1/chat/completions"))[0] == 200


async def every_route_refuses(
    call: Callable[[str], Awaitable[tuple[int, Any, Any]]], upstream: Upstream, name: str
) -> None:
    """Eight calls a route on connections of their own reach both workers."""
    before = upstream.calls
    for route in ROUTES:
        for _ in range(8):
            status, headers, body = await call(route)
            assert status == 403, (route, body)
            assert headers["x-should-retry"] == "false"
            assert "Refused by Brakeline: agent:a is stopped" in body["error"]["message"]
            # Anthropic's route has the proxy's own form of errors.
            denial = body["error"]["provider_specific_fields"] if route == "/v1/messages" else body["error"]
            assert (denial["type"], denial["code"], denial["scope"]) == ("agent_killed", "agent_killed", "agent:a"), (
                body
            )
            assert (denial["reason"], denial["kill_id"], denial["release_url"]) == ("a loop", name, None), body
    assert upstream.calls == before


async def test_what_calls_took_arrives_in_kafka_and_is_counted_once(kafka: str, tmp_path: Path) -> None:
    upstream, folder = Upstream(), tmp_path / "proxy"
    folder.mkdir()
    async with (
        Installation(kafka, tmp_path) as site,
        TestServer(upstream.app) as server,
        ClientSession(timeout=ClientTimeout(60)) as client,
    ):
        assert server.port is not None
        worker = await site.start("a")
        await worker.up()
        kills = Kills(kafka, site.name, site.settings.keys.env, trust_file(site.settings))
        async with litellm(folder, kills, server.port, WORKERS, {"e": {"model": "openai/e"}}) as url:
            begun_s = time.time()
            calls = await uses(client, url)
            await cut(client, url, upstream, site)
            await until(lambda: events_are(site, calls + len(STREAMS)))
        found = await events_of(site)
        await site.done()
        says_all(found, begun_s)
        hours = (await site.hours()).values()
        tokens = sum(event.input_tokens + event.output_tokens for event in found)
        assert (sum(each[0] for each in hours), sum(each[1] for each in hours)) == (calls + len(STREAMS), tokens)
        assert await worker.metric("brakeline_events_duplicate_total") == 0


def says_all(found: list[TokenEvent], begun_s: float) -> None:
    """One event a call, from both workers; of the streams that were cut what had passed, of refusals nothing."""
    assert len({event.event_id for event in found}) == len(found)
    assert len({event.gateway for event in found}) == WORKERS
    assert {event.team for event in found} == {"t"}
    assert all(begun_s <= event.ts <= time.time() for event in found)
    cut_off = [event for event in found if event.agent == "b"]
    assert [(each.status, each.model, each.input_tokens) for each in cut_off] == [("partial", "m", 1)] * len(STREAMS)
    assert all(0 < each.output_tokens < 10 for each in cut_off)
    whole = [event for event in found if event not in cut_off]
    assert {(event.agent, event.status, event.input_tokens) for event in whole} == {("a", "ok", 1)}
    assert {event.model for event in whole} == {"m", "e"}
    assert [event.output_tokens for event in whole if event.output_tokens > 1] == [CHUNKS] * CALLS_A_ROUTE


async def uses(client: ClientSession, url: str) -> int:
    """Call each route on connections of their own: they reach both workers."""
    headers = {"authorization": "Bearer sk-a", "connection": "close"}
    for route, body in ROUTES.items():
        for _ in range(CALLS_A_ROUTE):
            async with client.post(url + route, json=body, headers=headers) as answer:
                assert answer.status == 200, (route, await answer.text())
    for _ in range(CALLS_A_ROUTE):
        short = {**CHAT, "stream": True, "max_tokens": CHUNKS}
        async with client.post(url + PASSED_ON, json=short, headers=headers) as answer:
            assert f"chunk {CHUNKS - 1}" in await answer.text()
    return CALLS_A_ROUTE * (len(ROUTES) + 1)


async def cut(client: ClientSession, url: str, upstream: Upstream, site: Installation) -> None:
    """Kill the caller of a stream after its first chunk."""
    streams = [await streaming(client, url + route, "b") for route in STREAMS]
    await site.command("kill", "agent:b", "--reason", "a loop")

    async def both_workers_obey() -> bool:
        return f"{WORKERS} of {WORKERS}" in await site.command("list")

    await until(both_workers_obey)
    await all_cut(streams, upstream)


async def streaming(client: ClientSession, url: str, key: str) -> ClientResponse:
    """Open a stream, up to its first chunk."""
    stream = await client.post(url, json={**CHAT, "stream": True}, headers={"authorization": f"Bearer sk-{key}"})
    assert b"chunk 0" in await stream.content.readline()
    return stream


async def all_cut(streams: list[ClientResponse], upstream: Upstream) -> None:
    for each in upstream.streams:
        each.release()
    for stream in streams:
        rest = await stream.content.read()
        assert b"chunk 1" not in rest, stream.url
        assert b"agent_killed" in rest, stream.url


async def events_of(site: Installation) -> list[TokenEvent]:
    records = await site.read(site.events, PARTITIONS)
    return [event for record in records for event in decode(record.value) if isinstance(event, TokenEvent)]


async def events_are(site: Installation, count: int) -> bool:
    return sum(await site.ends(site.events)) >= count
