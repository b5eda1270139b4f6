"""One behaviour for all adapters. A new one gets the suite by one line in ADAPTERS."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import proxies
import pytest
from aiohttp.test_utils import TestServer
from gateways import Adapter, Opener, Upstream, open_asgi, open_httpx, open_httpx2, open_sync_httpx, open_sync_httpx2
from litellm_adapter import litellm_opener
from real_gateways import needs

from alerts.gateway.asking import Asked
from alerts.gateway.fake import FakeGateway
from alerts.gateway.limits import Gate, Limit

LITELLM = pytest.param("litellm", id="litellm", marks=[needs("litellm"), pytest.mark.timeout(300)])
CUTS_STREAMS = [
    pytest.param(open_asgi, id="asgi"),
    pytest.param(open_httpx, id="httpx"),
    pytest.param(open_sync_httpx, id="httpx-sync"),
    pytest.param(open_httpx2, id="httpx2"),
    pytest.param(open_sync_httpx2, id="httpx2-sync"),
    LITELLM,
]
ADAPTERS = [*CUTS_STREAMS, *proxies.ADAPTERS]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    async with TestServer(made.app) as server:
        made.url = f"http://127.0.0.1:{server.port}"
        yield made


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    with litellm_opener(tmp_path_factory.mktemp("litellm")) as opener:
        yield opener


@pytest.fixture
async def adapter(
    request: pytest.FixtureRequest, gateway: FakeGateway, upstream: Upstream, tmp_path: Path
) -> AsyncIterator[Adapter]:
    opener: Opener = request.getfixturevalue("litellm") if request.param == "litellm" else request.param
    async with opener(gateway, upstream, tmp_path) as made:
        yield made


every = pytest.mark.parametrize("adapter", ADAPTERS, indirect=True)
cutting = pytest.mark.parametrize("adapter", CUTS_STREAMS, indirect=True)


@every
@pytest.mark.parametrize("scope", ["agent:a", "team:t", "global:all"])
async def test_a_kill_refuses_before_any_upstream_call(
    adapter: Adapter, gateway: FakeGateway, upstream: Upstream, scope: str
) -> None:
    assert (await adapter.call("a")).status == 200
    before = upstream.calls
    gateway.kill(scope, "a loop of 38 calls – “stuck”")

    reply = await adapter.call("a")

    assert reply.status == 403
    assert upstream.calls == before
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-brakeline-kill-id"] == f"{scope}@1.1"
    assert reply.headers["content-type"].startswith("application/json")
    error = reply.error
    assert (error["type"], error["code"], error["scope"]) == ("agent_killed", "agent_killed", scope)
    assert error["reason"] == "a loop of 38 calls – “stuck”"
    assert (error["kill_id"], error["until"], error["release_url"]) == (f"{scope}@1.1", None, None)


@every
async def test_others_work_on_and_a_release_lets_work_again(adapter: Adapter, gateway: FakeGateway) -> None:
    gateway.kill("agent:a")
    assert (await adapter.call("a")).status == 403
    assert (await adapter.call("b")).status == 200
    gateway.release("agent:a")
    assert (await adapter.call("a")).status == 200


@every
async def test_a_hold_names_itself(adapter: Adapter, gateway: FakeGateway, upstream: Upstream) -> None:
    gateway.hold("agent:a", "is this planned?")
    reply = await adapter.call("a")
    assert (reply.status, reply.error["code"]) == (403, "agent_held")
    assert upstream.calls == 0


@every
async def test_a_throttle_lets_its_rate_through(adapter: Adapter, gateway: FakeGateway, upstream: Upstream) -> None:
    gateway.throttle("agent:a", 12.0)
    assert [(await adapter.call("a")).status for _ in range(4)] == [200, 200, 403, 403]
    assert upstream.calls == 2


@every
async def test_a_downgrade_reaches_the_upstream(adapter: Adapter, gateway: FakeGateway, upstream: Upstream) -> None:
    gateway.downgrade("agent:a", {"*": "small"})
    assert (await adapter.call("a")).status == 200
    assert (await adapter.call("b")).status == 200
    assert upstream.models == ["small", "large"]


@every
async def test_a_call_at_a_gate_waits_for_a_person_and_goes_out_exactly_as_approved(
    adapter: Adapter, gateway: FakeGateway, upstream: Upstream
) -> None:
    gateway.gate(Gate(name="dear", models=("large",), agents=("a",)))
    reply = await adapter.call("a")

    assert (reply.status, reply.error["code"], upstream.calls) == (403, "approval_needed", 0)
    assert reply.headers["x-should-retry"] == "false"
    asked, approval = Asked(gate="dear", agent="agent:a", team="team:t"), reply.error["approval_id"]
    assert asked.scope == f"approval:{approval}"
    assert (await adapter.call("b")).status == 200

    gateway.approve(approval, "once", asked)
    assert [(await adapter.call("a")).status for _ in range(2)] == [200, 403]
    gateway.approve(approval, "span", asked)
    assert [(await adapter.call("a")).status for _ in range(2)] == [200, 200]
    gateway.deny(approval, asked)
    assert (await adapter.call("a")).error["code"] == "approval_denied"
    assert upstream.calls == 4


@every
async def test_a_burst_does_not_pass_a_limit_and_a_release_begins_it_anew(
    adapter: Adapter, gateway: FakeGateway, upstream: Upstream
) -> None:
    gateway.limit(Limit("agent:a", "steps", "day", 3))

    replies = await asyncio.gather(*(adapter.call("a") for _ in range(8)))

    refused = [reply for reply in replies if reply.status != 200]
    assert (len(refused), upstream.calls) == (5, 3)
    for reply in refused:
        error = reply.error
        assert (reply.status, error["code"], error["scope"]) == (403, "limit_reached", "agent:a")
        assert reply.headers["x-should-retry"] == "false"
        assert error["until"] == 86_400.0
        assert error["reason"] == "agent:a has 3 steps a day; 3 steps used or reserved, this call may take 1 steps"
    assert (await adapter.call("b")).status == 200
    gateway.release("agent:a")
    assert (await adapter.call("a")).status == 200


@cutting
async def test_a_stream_is_cut_within_one_chunk(adapter: Adapter, gateway: FakeGateway, upstream: Upstream) -> None:
    upstream.next.release()
    chunks = adapter.stream("a")
    assert await anext(chunks) == b"data: 0\n\n"

    gateway.kill("agent:a", "enough")
    upstream.next.release()
    rest = [chunk async for chunk in chunks]
    assert len(rest) == 1
    assert json.loads(rest[0].partition(b"data: ")[2])["error"]["type"] == "agent_killed"


@cutting
async def test_a_stream_of_who_may_work_is_left_alone(
    adapter: Adapter, gateway: FakeGateway, upstream: Upstream
) -> None:
    gateway.kill("agent:b")
    for _ in range(100):
        upstream.next.release()
    received = b"".join([chunk async for chunk in adapter.stream("a")])
    assert received.count(b"data:") == 100
