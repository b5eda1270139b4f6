"""Streams of a pass-through route, of which LiteLLM may read nothing: what they took is counted, and they are cut."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from limiting import limited_guard
from signing import APPROVER, command

from alerts.gateway.budget import Load
from alerts.gateway.events import Event
from alerts.gateway.gate import Gate
from alerts.gateway.httpx import StoppedError, WatchedAsync
from alerts.gateway.identity import Identity
from alerts.gateway.limits import Limit
from alerts.gateway.litellm_passing import Passed, Watched, passing, watch
from alerts.gateway.source import Source
from alerts.gateway.usage import Usage
from alerts.gateway.wire import State

LIMIT = Limit("agent:*", "tokens", "minute", 10_000)
EVENTS = {"content-type": "text/event-stream"}
SAID = b'data: {"model":"m","choices":[{"delta":{"content":"some words"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12}}\n\ndata: [DONE]\n\n'
CALL = "0b9a1c52-7a59-4c7e-9f53-3a0f8f0c9d11"


class Bytes(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self._chunks:
            yield each


class Route:
    """A gate, a call that it has let through, and the events that it has reported."""

    def __init__(self) -> None:
        self.guard = limited_guard(LIMIT)
        self.events: list[Event] = []
        self.forgotten: list[str] = []
        source = Source(lambda made: self.events.append(made()), "litellm:7", clock=lambda: 100.0)  # type: ignore[arg-type]
        self._gate = Gate(self.guard, clock=lambda: 100.0, source=source)
        self.admitted = self._gate.begin(Identity(agent="a"), Load(900, 100))

    def follow(self, chunks: list[bytes], headers: dict[str, str]) -> tuple[httpx.Response, Watched]:
        passing.set(Passed(CALL, self.admitted, {"messages": [{"role": "user", "content": "Say a word"}]}))
        response = httpx.Response(200, headers=headers, stream=Bytes(chunks))
        found = watch(self._gate, response, StoppedError, self.forgotten.append)
        assert found is not None
        assert found.call_id == CALL
        return response, found

    def used(self) -> int:
        return self.guard.budget.ceilings.used("agent:a", LIMIT.name, 100.0)

    def kill(self) -> None:
        self.guard.apply("agent:a", APPROVER.sign(command("agent:a", State.KILLED)), 100.0)


async def read(response: httpx.Response) -> list[bytes]:
    return [chunk async for chunk in response.aiter_bytes()]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_what_a_provider_says_of_a_stream_is_read_whatever_host_it_comes_from(encoding: str) -> None:
    route, body = Route(), SAID + USAGE
    chunks = [SAID, USAGE] if encoding == "identity" else [gzip.compress(body)]
    response, watched = route.follow(chunks, {**EVENTS, "content-encoding": encoding})
    assert b"".join(await read(response)) == body
    assert watched.told() == (Usage(input_tokens=30, output_tokens=12), "m")
    # LiteLLM's log settles and reports it.
    assert (route.used(), route.events) == (1_000, [])


async def test_of_a_stream_that_says_nothing_what_has_passed_is_estimated_and_what_cannot_be_read_is_not_told() -> None:
    response, watched = Route().follow([SAID], EVENTS)
    await read(response)
    told = watched.told()
    assert told is not None
    assert told[0].output_tokens == 3
    for headers in ({"content-type": "application/vnd.amazon.eventstream"}, {**EVENTS, "content-encoding": "br"}):
        _, unreadable = Route().follow([], headers)
        unreadable.take(b"\x00\x01")
        assert unreadable.told() is None


async def test_a_stream_is_cut_within_a_chunk_of_the_kill_and_reported_and_settled_once() -> None:
    route = Route()
    response, watched = route.follow([SAID, SAID, USAGE], EVENTS)
    passed: list[bytes] = []
    async for chunk in response.aiter_bytes():
        passed.append(chunk)
        route.kill()
    assert (passed[0], len(passed)) == (SAID, 2)
    assert b"agent_killed" in passed[1]
    assert watched.is_cut
    (event,) = route.events
    assert (event.status, event.agent, event.output_tokens) == ("partial", "a", 5)
    assert route.used() == event.input_tokens + event.output_tokens


async def test_an_empty_stream_of_which_litellm_logs_nothing_is_not_kept() -> None:
    route = Route()
    await read(route.follow([SAID], EVENTS)[0])
    assert route.forgotten == []
    await read(route.follow([], EVENTS)[0])
    assert route.forgotten == [CALL]
    assert (route.used(), route.guard.budget.open_calls) == (1_000, 0)


async def test_a_cut_that_cannot_be_said_within_the_stream_breaks_it_off() -> None:
    route = Route()
    response, _ = route.follow([b"{", b"}"], {"content-type": "application/json"})
    route.kill()
    with pytest.raises(StoppedError):
        await read(response)


@pytest.mark.parametrize(
    "response",
    [httpx.Response(200, content=b"{}"), httpx.Response(503, stream=Bytes([b"overloaded"])), {"id": "whole"}, None],
)
async def test_what_is_whole_already_or_an_error_is_left_alone(response: Any) -> None:
    route = Route()
    passing.set(Passed(CALL, route.admitted, {}))
    assert watch(Gate(route.guard), response, StoppedError, route.forgotten.append) is None
    passing.set(None)
    unread = httpx.Response(200, stream=Bytes([]))
    assert watch(Gate(route.guard), unread, StoppedError, route.forgotten.append) is None
    assert not isinstance(unread.stream, WatchedAsync)
