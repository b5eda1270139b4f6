"""`brakeline-gateway conformance`: it passes gateways that keep their promises, and says what the others do instead."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import proxies
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from real_gateways import needs

from alerts.gateway.asking import Asked
from alerts.gateway.conformance.caller import Caller, Target
from alerts.gateway.conformance.command import BODY
from alerts.gateway.conformance.provider import Provider
from alerts.gateway.conformance.trial import Result, Trial
from alerts.gateway.fake import FakeGateway
from alerts.gateway.identity import Identity, denial_body, denial_headers
from alerts.gateway.limits import Gate, Limit
from alerts.gateway.main import main
from alerts.gateway.sidecar import Sidecar

A, B = {"authorization": "Bearer key-of-a"}, {"authorization": "Bearer key-of-b"}
PATH = "/v1/chat/completions"


GATED = {"authorization": "Bearer key-of-gated"}
SPENDING = [
    "a gate holds a call until a person decides",
    "an approval lets the call out",
    "a burst of calls doesn't pass a limit",
]


class Bench:
    """A provider, and orders to a gateway in memory."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.provider = Provider()

    async def kill(self) -> None:
        self.gateway.kill("agent:a", "conformance")

    async def release(self) -> None:
        self.gateway.release("agent:a")

    async def try_out(self, url: str, **given: Any) -> dict[str, Result]:
        usual = {"caller": A, "other": B, "kill": self.kill, "release": self.release, "deadline_s": 1.0}
        target = Target(url=url + PATH, body=BODY.encode(), **{**usual, **given})
        async with aiohttp.ClientSession() as session:
            return {each.promise: each async for each in Trial(Caller(target, session), self.provider).run()}

    def outcomes(self, results: dict[str, Result]) -> dict[str, list[str]]:
        return {outcome: [r.promise for r in results.values() if r.outcome == outcome] for outcome in ("ok", "broken")}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def naive(bench: Bench, refuse: Callable[[], web.StreamResponse]) -> AsyncIterator[str]:
    """A gateway of somebody's own, which asks the guard by what the client says of itself."""

    async def answer(request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("x-brakeline-agent") or request.headers["authorization"][-1]
        if f"agent:{agent}" in bench.gateway.guard.book.active:
            return refuse()
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_post(PATH, answer)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in proxies.PROXIES])
async def test_a_proxy_with_the_sidecar_keeps_every_promise_but_cutting(name: str, tmp_path: Path) -> None:
    bench = Bench()
    async with (
        TestServer(Sidecar(bench.gateway.guard, clock=bench.gateway.clock).app()) as sidecar,
        TestServer(bench.provider.app) as provider,
    ):
        assert sidecar.port is not None and provider.port is not None
        ports = {"proxy": unused_port(), "sidecar": sidecar.port, "provider": provider.port}
        async with proxies.running(name, tmp_path, **ports):
            results = await bench.try_out(f"http://127.0.0.1:{ports['proxy']}")

    untried = ["a stream passes before the kill", "a stream in flight is cut within one chunk"]
    assert [r for r in results.values() if r.outcome != "ok" and r.promise not in [*untried, *SPENDING]] == []
    assert [results[promise].outcome for promise in untried] == ["not tried", "not tried"]
    assert results["a refused call never reaches the provider"].why == "0 of 5 calls"


@asynccontextmanager
async def limited(bench: Bench) -> AsyncIterator[str]:
    """A gateway with a gate and a limit, by headers that it has made sure of itself."""
    app = web.Application()

    async def answer(request: web.Request) -> web.StreamResponse:
        who = Identity(agent=request.headers["authorization"].rpartition("-")[2], run=request.headers["x-run-id"])
        refused = bench.gateway.check(who)
        if not refused.allowed:
            return web.Response(status=403, body=denial_body(refused), headers=denial_headers(refused))
        return await bench.provider._answer(request)

    app.router.add_post(PATH, answer)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_gates_and_limits_are_tried_where_there_are_some_for_it() -> None:
    bench = Bench()
    bench.gateway.gate(Gate(name="all", agents=("gated",)))
    bench.gateway.limit(Limit("run:conformance-*", "steps", "run", 5))

    async def approve(approval: str) -> None:
        bench.gateway.approve(approval, "once", Asked(gate="all", agent="agent:gated", run="r"))

    given: dict[str, Any] = {"caller": {**A, "x-run-id": "r"}, "other": {**B, "x-run-id": "s"}, "limit_calls": 5}
    async with limited(bench) as url:
        kept = await bench.try_out(url, **given, gated={**GATED, "x-run-id": "r"}, approve=approve)
        bench.gateway.limit(Limit("run:conformance-*", "steps", "run", 6))
        broken = await bench.try_out(url, **given, gated={**B, "x-run-id": "s"})

    assert [kept[promise].outcome for promise in SPENDING] == ["ok"] * 3, [kept[promise].why for promise in SPENDING]
    assert kept[SPENDING[2]].why == "5 of 15 calls passed, 5 may"
    assert [broken[promise].outcome for promise in SPENDING] == ["broken", "not tried", "broken"]
    assert broken[SPENDING[0]].why.startswith("200 ")
    assert broken[SPENDING[2]].why.startswith("6 of 15 calls passed, 5 may")


async def test_a_gateway_that_checks_nothing_is_told_so_and_what_was_killed_is_released() -> None:
    bench = Bench()
    async with TestServer(bench.provider.app) as server:
        results = await bench.try_out(f"http://127.0.0.1:{server.port}", deadline_s=0.1, cuts_streams=True)

    refused = results["a kill refuses the next call with 403"]
    assert refused.outcome == "broken"
    assert refused.why.startswith("200 ")
    assert not bench.gateway.guard.book.active


async def test_a_status_that_clients_retry_is_a_broken_promise() -> None:
    bench = Bench()
    async with naive(bench, lambda: web.json_response({"error": "blocked"}, status=429)) as url:
        results = await bench.try_out(url)
    assert results["a kill refuses the next call with 403"].why.startswith("429 ")


async def test_each_broken_promise_says_what_was_seen() -> None:
    bench = Bench()
    async with naive(bench, lambda: web.json_response({"error": {"message": "blocked"}}, status=403)) as url:
        results = await bench.try_out(url)

    assert bench.outcomes(results)["broken"] == [
        "no SDK retries: x-should-retry is false",
        "the body is JSON and says which kill, why and until when",
        "what a client says of itself frees nobody",
    ]
    assert results["no SDK retries: x-should-retry is false"].why == "the header is missing"
    assert "type, code, scope" in results["the body is JSON and says which kill, why and until when"].why
    assert results["what a client says of itself frees nobody"].why.startswith(
        "with x-brakeline-agent of somebody else: 200"
    )


async def test_a_stream_that_goes_on_after_the_kill_is_found() -> None:
    bench = Bench()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "agent:a" in bench.gateway.guard.book.active:
            return web.json_response({"error": {}}, status=403)
        return await bench.provider._answer(request)

    app = web.Application()
    app.router.add_post(PATH, answer)
    async with TestServer(app) as server:
        results = await bench.try_out(f"http://127.0.0.1:{server.port}", deadline_s=0.3, cuts_streams=True)
    assert results["a stream passes before the kill"].outcome == "ok"
    assert results["a stream in flight is cut within one chunk"].why == "it still went on 0.3 s after the kill"


async def test_without_a_kill_command_only_the_refusal_of_who_is_killed_already_is_tried() -> None:
    bench = Bench()
    await bench.kill()
    async with naive(bench, lambda: web.json_response({"error": {}}, status=403)) as url:
        results = await bench.try_out(url, kill=None, release=None)
    assert results["a kill refuses the next call with 403"].outcome == "ok"
    assert results["a call passes before the kill"].why == "the caller is killed already; give --kill"
    assert results["a release lets it work again"].why == "give --release"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["conformance", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "gateway:80"], "--url is 'gateway:80': write http:// or https://"),
        (["--url", "http://x/", "--caller", "Bearer secret"], "--caller number 1 is no header: write 'NAME: VALUE'"),
        (["--url", "http://x/", "--body", "[]"], "--body is '[]': write a JSON object"),
        (["--url", "http://x/", "--gated-body", "7"], "--gated-body is '7': write a JSON object"),
        (["--url", "http://x/", "--approve", "brakeline approve"], "--approve names no {id}"),
        (["--url", "http://127.0.0.1:1/"], "Cannot connect to host 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_used_is_named_and_secrets_are_not(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, _, complaint = run(capsys, *arguments)
    assert code == 2
    assert said in complaint
    assert "secret" not in complaint


async def test_the_command_prints_a_row_for_each_promise_and_ends_with_1_if_one_is_broken(tmp_path: Path) -> None:
    bench, killed = Bench(), tmp_path / "killed"

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=403) if killed.exists() else web.json_response({})

    app = web.Application()
    app.router.add_post(PATH, answer)
    async with TestServer(app) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alerts.gateway", "conformance", "--url", f"http://127.0.0.1:{server.port}{PATH}"),
            *("--kill", f"touch {killed}", "--release", f"rm {killed}", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
    rows = [json.loads(line) for line in said.splitlines()]
    assert process.returncode == 1
    assert len(rows) == 14
    assert {row["outcome"] for row in rows} == {"ok", "broken", "not tried"}
    assert not killed.exists()
    assert bench.provider.calls == 0
