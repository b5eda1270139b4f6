"""Whatever becomes of a call through a transport or the middleware, its reservation is settled."""

import asyncio
from typing import Any

import httpx
import pytest
from limiting import limited_guard

from alerts.gateway.asgi import Brakes as Middleware
from alerts.gateway.gate import Gate
from alerts.gateway.guard import Guard
from alerts.gateway.httpx import AsyncBrakes, Brakes
from alerts.gateway.identity import Identity
from alerts.gateway.limits import Limit

LIMIT = Limit("agent:a", "tokens", "hour", 10_000)
WHO = Identity(agent="a")
BODY: dict[str, Any] = {"model": "m", "max_tokens": 5_000, "messages": []}
USAGE = {"model": "m", "usage": {"prompt_tokens": 200, "completion_tokens": 100}}


def used(guard: Guard) -> int:
    assert guard.budget.settled == guard.budget.reserved
    return guard.budget.ceilings.used("agent:a", LIMIT.name, 100.0)


def client_of(guard: Guard, answer: Any) -> httpx.Client:
    return httpx.Client(transport=Brakes(Gate(guard, clock=lambda: 100.0), WHO, httpx.MockTransport(answer)))


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.ReadTimeout, True),
        (httpx.ReadError, True),
        (httpx.RemoteProtocolError, True),
    ],
)
def test_a_call_that_broke_counts_unless_it_can_not_have_reached_the_provider(
    error: type[Exception], counts: bool
) -> None:
    guard = limited_guard(LIMIT)

    def breaks(_: httpx.Request) -> httpx.Response:
        raise error("broke")

    with client_of(guard, breaks) as client, pytest.raises(error):
        client.post("http://x/v1/chat/completions", json=BODY)
    assert (used(guard) > 5_000) is counts
    assert used(guard) == 0 or counts


@pytest.mark.parametrize(("code", "expected"), [(200, 300), (429, 0), (503, 0)])
def test_an_answer_counts_what_it_says_and_an_error_nothing(code: int, expected: int) -> None:
    guard = limited_guard(LIMIT)
    with client_of(guard, lambda _: httpx.Response(code, json=USAGE if code == 200 else {})) as client:
        client.post("http://x/v1/chat/completions", json=BODY)
    assert used(guard) == expected


async def test_a_call_that_is_cancelled_stays_counted_and_is_not_left_open() -> None:
    guard, waits = limited_guard(LIMIT), asyncio.Event()

    async def hangs(_: httpx.Request) -> httpx.Response:
        waits.set()
        await asyncio.Event().wait()
        raise AssertionError

    brakes = AsyncBrakes(Gate(guard, clock=lambda: 100.0), WHO, httpx.MockTransport(hangs))
    async with httpx.AsyncClient(transport=brakes) as client:
        call = asyncio.create_task(client.post("http://x/v1/chat/completions", json=BODY))
        await waits.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert used(guard) > 5_000


@pytest.mark.parametrize("breaks", ["before its answer", "in its answer"])
async def test_an_application_that_breaks_leaves_nothing_open(breaks: str) -> None:
    guard = limited_guard(LIMIT)

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        if breaks == "in its answer":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ValueError("a mistake")

    wrapped = Middleware(application, Gate(guard, clock=lambda: 100.0), lambda _: WHO)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(wrapped)) as client:
        with pytest.raises(ValueError, match="a mistake"):
            await client.post("http://x/v1/chat/completions", json=BODY)
    assert used(guard) > 5_000


def test_a_leaked_reservation_ends_with_its_period() -> None:
    guard = limited_guard(LIMIT)
    gate = Gate(guard, clock=lambda: 100.0)
    while gate.check(WHO).allowed:
        pass
    assert guard.check(WHO, 3_599.0).until_s == 3_600.0
    assert guard.check(WHO, 3_600.0).allowed
