"""What the OpenAI and Anthropic SDKs make of a refusal: one attempt, and an exception with the code `agent_killed`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import proxies
import pytest
import uvicorn
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer, unused_port
from real_gateways import needs
from sdk_provider import SdkProvider
from waiting import until

from alerts.gateway.asgi import Brakes as AsgiBrakes
from alerts.gateway.asgi import by_headers
from alerts.gateway.fake import FakeGateway
from alerts.gateway.gate import Gate
from alerts.gateway.httpx2 import AsyncBrakes
from alerts.gateway.identity import Identity
from alerts.gateway.sidecar import Sidecar

SAID: Any = [{"role": "user", "content": "Say yes."}]


class Site(NamedTuple):
    """A gateway to be called as agent a, and what stands behind it."""

    url: str
    gateway: FakeGateway
    provider: SdkProvider
    client: httpx2.AsyncClient
    attempts: list[str]


class Way(NamedTuple):
    """Where an SDK is pointed, and the transport of its client."""

    url: str
    transport: httpx2.AsyncBaseTransport | None = None


@asynccontextmanager
async def by_transport(gateway: FakeGateway, provider: TestServer, _: Path) -> AsyncIterator[Way]:
    gate = Gate(gateway.guard, clock=gateway.clock)
    yield Way(str(provider.make_url("")).rstrip("/"), AsyncBrakes(gate, Identity(agent="a")))


@asynccontextmanager
async def behind_nginx(gateway: FakeGateway, provider: TestServer, folder: Path) -> AsyncIterator[Way]:
    port = unused_port()
    async with TestServer(Sidecar(gateway.guard, clock=gateway.clock).app()) as sidecar:
        assert sidecar.port is not None and provider.port is not None
        async with proxies.running("nginx", folder, proxy=port, sidecar=sidecar.port, provider=provider.port):
            yield Way(f"http://127.0.0.1:{port}")


@asynccontextmanager
async def in_asgi(gateway: FakeGateway, provider: TestServer, _: Path) -> AsyncIterator[Way]:
    async with ClientSession() as session:

        async def passed_on(scope: Any, receive: Any, send: Any) -> None:
            body = (await receive())["body"]
            async with session.post(provider.make_url(scope["path"]), data=body) as response:
                kept = [(b"content-type", response.headers["content-type"].encode())]
                await send({"type": "http.response.start", "status": response.status, "headers": kept})
                async for chunk in response.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})

        brakes: Any = AsgiBrakes(passed_on, Gate(gateway.guard, clock=gateway.clock), by_headers())
        port = unused_port()
        server = uvicorn.Server(uvicorn.Config(brakes, port=port, lifespan="off", log_level="error"))
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        yield Way(f"http://127.0.0.1:{port}")
        server.force_exit = server.should_exit = True
        await serving


CUTTING = [pytest.param(by_transport, id="transport"), pytest.param(in_asgi, id="asgi")]
OPENERS = [*CUTTING, pytest.param(behind_nginx, id="nginx", marks=needs("nginx"))]


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    gateway, provider, attempts = FakeGateway(), SdkProvider(), list[str]()

    async def note(sent: httpx2.Request) -> None:
        attempts.append(sent.url.path)

    headers = {"x-brakeline-agent": "a", "authorization": "Bearer key-of-a"}
    async with (
        TestServer(provider.app) as upstream,
        request.param(gateway, upstream, tmp_path) as way,
        httpx2.AsyncClient(
            transport=way.transport, event_hooks={"request": [note]}, headers=headers, timeout=10
        ) as client,
    ):
        yield Site(way.url, gateway, provider, client, attempts)


everywhere = pytest.mark.parametrize("site", OPENERS, indirect=True)
where_streams_are_cut = pytest.mark.parametrize("site", CUTTING, indirect=True)


def gpt(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="key-of-a", base_url=f"{site.url}/v1", http_client=site.client)


def claude(site: Site) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(auth_token="key-of-a", base_url=site.url, http_client=site.client)


@everywhere
async def test_openai_makes_one_attempt_and_raises_permission_denied_with_the_code(site: Site) -> None:
    await gpt(site).chat.completions.create(model="m", messages=SAID)
    site.gateway.kill("agent:a", "a loop")

    with pytest.raises(openai.PermissionDeniedError) as refused:
        await gpt(site).chat.completions.create(model="m", messages=SAID)

    assert (refused.value.status_code, refused.value.code, refused.value.type) == (403, "agent_killed", "agent_killed")
    assert "agent:a is stopped: a loop" in str(refused.value)
    assert (len(site.attempts), site.provider.calls) == (2, 1)


@everywhere
async def test_anthropic_makes_one_attempt_and_raises_permission_denied_with_the_code(site: Site) -> None:
    await claude(site).messages.create(model="m", max_tokens=5, messages=SAID)
    site.gateway.kill("agent:a", "a loop")

    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        await claude(site).messages.create(model="m", max_tokens=5, messages=SAID)

    body: Any = refused.value.body
    assert (refused.value.status_code, body["error"]["code"]) == (403, "agent_killed")
    assert (len(site.attempts), site.provider.calls) == (2, 1)


@where_streams_are_cut
async def test_an_openai_stream_in_flight_ends_with_the_code(site: Site) -> None:
    site.provider.next.release()
    stream = await gpt(site).chat.completions.create(model="m", messages=SAID, stream=True)
    assert (await anext(stream)).choices[0].delta.content == "0 "

    site.gateway.kill("agent:a", "enough")
    site.provider.next.release()
    with pytest.raises(openai.APIError) as cut:
        await anext(stream)

    assert cut.value.code == "agent_killed"
    assert (len(site.attempts), site.provider.calls) == (1, 1)


@where_streams_are_cut
async def test_an_anthropic_stream_in_flight_ends_with_the_code(site: Site) -> None:
    site.provider.next.release()
    async with claude(site).messages.stream(model="m", max_tokens=5, messages=SAID) as stream:
        texts = stream.text_stream
        assert await anext(texts) == "0 "

        site.gateway.kill("agent:a", "enough")
        site.provider.next.release()
        with pytest.raises(anthropic.APIError) as cut:
            await anext(texts)

    body: Any = cut.value.body
    assert body["error"]["code"] == "agent_killed"
    assert (len(site.attempts), site.provider.calls) == (1, 1)
