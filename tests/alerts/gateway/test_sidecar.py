"""The sidecar answers 200 or 403, and says why."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from limiting import limited_guard
from signing import guard

from alerts.gateway.fake import FakeGateway
from alerts.gateway.limits import Limit
from alerts.gateway.main import main
from alerts.gateway.sidecar import HeaderNames, Sidecar, identity_of
from alerts.gateway.wire import State

WHO = {"x-brakeline-agent": "a", "x-brakeline-team": "t"}
Client = TestClient  # type: ignore[type-arg]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[Client]:
    sidecar = Sidecar(gateway.guard, release_url="https://x/{scope}", clock=gateway.clock)
    async with TestClient(TestServer(sidecar.app())) as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/check", "/check/", "/check/v1/chat/completions?x=1"])
async def test_every_method_and_path_is_answered(gateway: FakeGateway, client: Client, method: str, path: str) -> None:
    assert (await client.request(method, path, headers=WHO)).status == 200
    gateway.kill("agent:a", "a loop")
    refused = await client.request(method, path, headers=WHO)
    assert refused.status == 403
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers["x-brakeline-kill-id"] == "agent:a@1.1"
    assert (await refused.json())["error"]["code"] == "agent_killed"
    assert (await client.request(method, path, headers=WHO | {"x-brakeline-agent": "b"})).status == 200


async def test_a_throttle_is_a_403_too_and_a_downgrade_a_header(gateway: FakeGateway, client: Client) -> None:
    gateway.throttle("team:t", 1.0)
    assert [(await client.get("/check", headers=WHO)).status for _ in range(3)] == [200, 403, 403]
    gateway.release("team:t")
    gateway.downgrade("team:t", {"large": "small"})
    allowed = await client.get("/check", headers=WHO | {"x-model": "large"})
    assert (allowed.status, allowed.headers["x-brakeline-model"]) == (200, "small")


async def test_readiness_and_metrics(gateway: FakeGateway, client: Client) -> None:
    assert (await client.get("/readyz")).status == 200
    assert (await client.get("/livez")).status == 200
    gateway.order("agent:a", State.HELD, "look")
    await client.get("/check", headers=WHO)
    text = await (await client.get("/metrics")).text()
    assert 'brakeline_gateway_checks_total{adapter="sidecar",answer="agent_held"} 1.0' in text
    assert 'brakeline_gateway_state{state="live"} 1.0' in text
    assert "brakeline_gateway_commands_in_force 1.0" in text


async def test_a_sidecar_that_knows_nothing_is_not_ready_and_refuses() -> None:
    sidecar = Sidecar(guard(100.0), clock=lambda: 100.0)
    async with TestClient(TestServer(sidecar.app())) as client:
        assert (await client.get("/readyz")).status == 503
        refused = await client.get("/check", headers=WHO)
        assert refused.status == 403
        assert (await refused.json())["error"]["code"] == "gateway_not_ready"


def test_headers_are_configurable_and_can_be_switched_off() -> None:
    names = HeaderNames(agent="x-key-alias", claimed_agent="")
    who = identity_of({"x-key-alias": " a ", "x-claimed-agent": "b", "x-parent-run-ids": "p, q,"}, names)
    assert (who.agent, who.claimed_agent, who.parents) == ("a", "", ("p", "q"))


def test_mistakes_in_the_settings_are_said_and_end_with_2(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sidecar", "--trust", f"{tmp_path}/none.json"]) == 2
    assert "none.json" in capsys.readouterr().err


async def test_ids_that_are_no_text_are_answered_reported_and_saved_like_others() -> None:
    limited = limited_guard(Limit("run:*", "steps", "run", 1))
    async with TestServer(Sidecar(limited, clock=lambda: 100.0).app()) as server:
        answers = [await raw(server, b"x-run-id: \xff\xfe", b"x-tools: \xc3") for _ in range(2)]
    assert [answer.split()[1] for answer in answers] == [b"200", b"403"]
    assert b"limit_reached" in answers[1]
    limited.budget.used(100.0)
    assert list(limited.budget.report(100.0)[1]) == ["run:??"]


async def raw(server: TestServer, *headers: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = (b"GET /check HTTP/1.1", b"host: x", b"connection: close", *headers, b"", b"")
    writer.write(b"\r\n".join(lines))
    answer = await reader.read()
    writer.close()
    return answer
