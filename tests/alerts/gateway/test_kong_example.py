"""The function of Kong's example, run in LuaJIT against the real sidecar; Kong's own functions are stood in for."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp.test_utils import TestServer
from lupa.luajit21 import LuaRuntime

from alerts.gateway.fake import FakeGateway
from alerts.gateway.sidecar import Sidecar

EXAMPLE = yaml.safe_load((Path(__file__).resolve().parents[3] / "deploy" / "gateways" / "kong.yaml").read_text())
(SERVICE,) = EXAMPLE["services"]
(CODE,) = next(each for each in SERVICE["plugins"] if each["name"] == "post-function")["config"]["access"]
STAND_IN = """
function(code, consumer, headers, ask)
  local done = { request = {} }
  for name, value in pairs(headers) do done.request[name] = value end
  kong = {
    client = { get_consumer = function() return consumer end },
    request = { get_header = function(name) return headers[name] end },
    service = { request = {
      clear_header = function(name) done.request[name] = nil end,
      set_header = function(name, value) done.request[name] = value end,
    } },
    response = { exit = function(status, body, headers)
      done.status, done.body, done.headers = status, body, headers
    end },
  }
  package.loaded["resty.http"] = { new = function() return {
    set_timeouts = function() end,
    request_uri = function(_, url, options) return ask(url, options.headers) end,
  } end }
  assert(loadstring(code))()
  return done
end
"""


class Kong:
    """Runs the example's function for one request after another."""

    def __init__(self, sidecar: str) -> None:
        self.sidecar = sidecar

    def _ask(self, runtime: LuaRuntime, url: str, headers: Any) -> Any:
        try:
            answer = httpx.get(url.replace("http://127.0.0.1:8181", self.sidecar), headers=dict(headers.items()))
        except httpx.ConnectError:
            return None
        found = {name.lower(): value for name, value in answer.headers.items()}
        return runtime.table(status=answer.status_code, body=answer.text, headers=runtime.table_from(found))

    def _run(self, name: str, headers: dict[str, str]) -> dict[str, Any]:
        runtime = LuaRuntime()
        consumer = next((each for each in EXAMPLE["consumers"] if each["username"] == name), {})
        known = {field: consumer[field] for field in ("username", "custom_id") if field in consumer}
        done = runtime.eval(STAND_IN)(
            CODE, runtime.table_from(known), runtime.table_from(headers), lambda u, h: self._ask(runtime, u, h)
        )
        return plain(done)

    async def call(self, name: str, **headers: str) -> dict[str, Any]:
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return await asyncio.to_thread(self._run, name, given)


def plain(table: Any) -> Any:
    return {key: plain(value) for key, value in table.items()} if hasattr(table, "items") else table


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def kong(gateway: FakeGateway) -> AsyncIterator[Kong]:
    async with TestServer(Sidecar(gateway.guard, clock=gateway.clock).app()) as server:
        yield Kong(f"http://127.0.0.1:{server.port}")


@pytest.mark.parametrize("scope", ["agent:a", "team:t", "run:r"])
async def test_a_kill_is_answered_with_the_sidecars_refusal(kong: Kong, gateway: FakeGateway, scope: str) -> None:
    gateway.kill(scope, "a loop – “stuck”")

    refused = await kong.call("a", x_brakeline_agent="b", x_run_id="r")

    assert refused["status"] == 403
    assert json.loads(refused["body"])["error"]["reason"] == "a loop – “stuck”"
    assert refused["headers"]["x-should-retry"] == "false"
    assert refused["headers"]["content-type"].startswith("application/json")
    assert refused["headers"]["x-brakeline-kill-id"] == f"{scope}@1.1"
    assert "status" not in await kong.call("b", x_brakeline_agent="a")


async def test_a_downgrade_reaches_the_service_and_a_clients_own_word_does_not(
    kong: Kong, gateway: FakeGateway
) -> None:
    gateway.downgrade("agent:a", {"*": "small"})
    assert (await kong.call("a", x_model="large", x_brakeline_model="mine"))["request"]["x-brakeline-model"] == "small"
    assert "x-brakeline-model" not in (await kong.call("b", x_model="large", x_brakeline_model="mine"))["request"]


async def test_a_sidecar_that_does_not_answer_refuses_without_a_retry() -> None:
    refused = await Kong("http://127.0.0.1:1").call("a")
    assert (refused["status"], refused["headers"]) == (403, {"x-should-retry": "false"})
    assert refused["body"]["error"]["code"] == "gateway_not_ready"
