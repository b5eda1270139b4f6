"""What a transport reports of calls, from bodies shaped as the providers send them."""

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_bodies import (
    ANTHROPIC,
    CHAT,
    CHAT_ID,
    EMBEDDINGS,
    GEMINI,
    MESSAGE,
    MESSAGE_ID,
    RESPONSES,
    chunk,
)

from alerts.gateway.events import Event, prompt_hash
from alerts.gateway.fake import FakeGateway
from alerts.gateway.gate import Gate
from alerts.gateway.httpx import Brakes
from alerts.gateway.identity import Identity
from alerts.gateway.meter import Meter
from alerts.gateway.source import Source
from streams.event import Event as Read
from streams.events import TokenEvent, decode
from streams.validation import Validator

WHO = Identity(agent="a", team="t", run="r1", parents=("r0", "root"), workflow="w")
ASKED = {"model": "gpt-5", "messages": [{"role": "user", "content": "How are you today, my friend?"}]}


class Body(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes], at_second: Any = None) -> None:
        self.chunks, self.at_second = chunks, at_second

    def __iter__(self) -> Iterator[bytes]:
        for number, part in enumerate(self.chunks):
            if number == 1 and self.at_second:
                self.at_second()
            yield part


class Site:
    """A client whose transport reports to `events`, in front of one answer."""

    def __init__(self, answer: Any, prompt_key: bytes = b"") -> None:
        self.gateway, self.events, self.now_s = FakeGateway(), list[Event](), 1_000.0
        source = Source(self._take, "gw-1", prompt_key=prompt_key, clock=self._clock)
        gate = Gate(self.gateway.guard, clock=self.gateway.clock, source=source)
        self.client = httpx.Client(
            transport=Brakes(gate, WHO, httpx.MockTransport(answer)), base_url="http://provider.test"
        )

    def _clock(self) -> float:
        self.now_s += 0.125
        return self.now_s

    def _take(self, pending: Any) -> None:
        event = pending()
        self.events += [event] if event else []

    def read(self) -> TokenEvent:
        """Return the one event, as the service reads it."""
        (event,) = self.events
        (read,) = decode(event.encode()[1])
        assert isinstance(read, TokenEvent), read
        assert Validator().check(Read(tuple(getattr(read, name) for name in read.__struct_fields__)), read.ts) is None
        return read


def whole(body: Any, code: int = 200) -> Any:
    content = json.dumps(body).encode()
    half, headers = len(content) // 2, {"content-type": "application/json"}
    return lambda _: httpx.Response(code, headers=headers, stream=Body([content[:half], content[half:]]))


def streamed(*events: Any, at_second: Any = None, named: bool = False) -> Any:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    chunks = [f"{'event: x' + chr(10) if named else ''}data: {line}\n\n".encode() for line in lines]
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return lambda _: httpx.Response(200, headers=headers, stream=Body(chunks, at_second))


def tokens(read: TokenEvent) -> tuple[int, int, int, int, int, int]:
    return (
        read.input_tokens, read.output_tokens, read.cached_tokens, read.cache_write_tokens, read.reasoning_tokens,
        read.tool_calls,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "counted", "model", "event_id"),
    [
        ("/v1/chat/completions", CHAT, (2006, 300, 1920, 0, 192, 1), "gpt-5-2025-08-07", CHAT_ID),
        ("/v1/responses", RESPONSES, (75, 1186, 64, 0, 1024, 1), "gpt-5", RESPONSES["id"]),
        ("/v1/embeddings", EMBEDDINGS, (8, 0, 0, 0, 0, 0), "text-embedding-3-small", None),
        ("/v1/messages", MESSAGE, (2098, 503, 1800, 248, 0, 1), "claude-sonnet-4-5", MESSAGE_ID),
        ("/v1/models/x:generateContent", GEMINI, (100, 50, 40, 0, 30, 0), "gemini-2.5-pro", GEMINI["responseId"]),
    ],
    ids=["chat", "responses", "embeddings", "messages", "gemini"],
)
def test_a_whole_answer_says_what_it_took(
    path: str, body: Any, counted: tuple[int, ...], model: str, event_id: str | None
) -> None:
    site = Site(whole(body))
    assert site.client.post(path, json=ASKED).json() == body
    read = site.read()
    assert tokens(read) == counted
    assert (read.model, read.event_id) == (model, event_id or read.event_id)
    assert (read.agent, read.team, read.run_id, read.parent_run_id, read.workflow) == ("a", "t", "r1", "r0", "w")
    assert (read.status, read.gateway, read.latency_ms, read.ts) == ("ok", "gw-1", 125.0, 1000.25)
    assert read.prompt_hash is None


def test_an_answer_that_is_compressed_is_read_and_arrives_as_it_was() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["accept-encoding"])
        return httpx.Response(200, headers=headers, stream=Body([gzip.compress(json.dumps(CHAT).encode())]))

    site = Site(answer)
    got = site.client.post("/v1/chat/completions", json=ASKED, headers={"accept-encoding": "gzip, br, zstd"})
    assert got.json() == CHAT
    assert site.read().input_tokens == 2006
    assert seen == ["gzip, deflate"]


def test_a_stream_with_usage_is_counted_by_it() -> None:
    site = Site(streamed(chunk("Well", usage=None), chunk(" then"), chunk(usage=CHAT["usage"]), "[DONE]"))
    site.client.post("/v1/chat/completions", json=ASKED)
    assert tokens(site.read())[:3] == (2006, 300, 1920)
    assert site.read().status == "ok"


def test_a_stream_without_usage_is_estimated_from_the_prompt_and_what_was_said() -> None:
    site = Site(streamed(chunk("x" * 400), chunk("y" * 40), "[DONE]"))
    site.client.post("/v1/chat/completions", json=ASKED)
    assert tokens(site.read())[:2] == (8, 110)
    assert (site.read().status, site.read().event_id) == ("ok", CHAT_ID)


def test_an_anthropic_stream_tells_its_input_first_and_its_output_last() -> None:
    site = Site(streamed(*ANTHROPIC, named=True))
    site.client.post("/v1/messages", json=ASKED)
    assert tokens(site.read()) == (2098, 503, 1800, 248, 0, 1)


def test_a_responses_stream_tells_at_its_end() -> None:
    said = {"type": "response.output_text.delta", "delta": "Well"}
    site = Site(streamed(said, {"type": "response.completed", "response": RESPONSES}, named=True))
    site.client.post("/v1/responses", json=ASKED)
    assert tokens(site.read()) == (75, 1186, 64, 0, 1024, 1)
    assert site.read().event_id == RESPONSES["id"]


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([chunk("x" * 40), chunk("y" * 40), chunk("never", usage=CHAT["usage"])], (8, 20)),
        ([ANTHROPIC[0], ANTHROPIC[2], ANTHROPIC[3]], (2098, 20)),
    ],
    ids=["chat", "messages"],
)
def test_a_stream_that_a_kill_cuts_reports_what_was_used_as_partial(events: list[Any], counted: Any) -> None:
    killed: list[Site] = []
    site = Site(streamed(*events, at_second=lambda: killed[0].gateway.kill("agent:a")))
    killed.append(site)
    assert b"agent_killed" in site.client.post("/v1/chat/completions", json=ASKED).content
    read = site.read()
    assert (read.status, tokens(read)[:2]) == ("partial", counted)


def test_a_caller_that_leaves_a_stream_has_used_what_passed_and_one_that_heard_its_end_all() -> None:
    left, heard = Site(streamed(chunk("x" * 40), chunk("y" * 40))), Site(streamed(chunk("x" * 40), "[DONE]", "more"))
    with left.client.stream("POST", "/v1/chat/completions", json=ASKED) as response:
        next(response.iter_raw())
    with heard.client.stream("POST", "/v1/chat/completions", json=ASKED) as response:
        chunks = response.iter_raw()
        next(chunks), next(chunks)
    assert (left.read().status, left.read().output_tokens) == ("cancelled", 10)
    assert (heard.read().status, heard.read().output_tokens) == ("ok", 10)


def refuse(error: Exception) -> Any:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (whole({"error": {"type": "rate_limit_exceeded", "message": "later"}}, 429), "error_429"),
        (refuse(httpx.ConnectError("no")), "error_connecterror"),
        (refuse(httpx.ReadTimeout("slow")), "timeout"),
        (streamed({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), "error_overloaded_error"),
    ],
    ids=["status", "connection", "timeout", "within a stream"],
)
def test_a_call_that_fails_is_an_error_with_the_model_that_was_asked(answer: Any, status: str) -> None:
    site = Site(answer)
    with suppress(httpx.TransportError):
        site.client.post("/v1/chat/completions", json=ASKED)
    read = site.read()
    assert (read.status, read.model, read.output_tokens) == (status, "gpt-5", 0)


def test_what_uses_no_tokens_is_not_reported() -> None:
    site = Site(whole({"object": "list", "data": []}))
    site.client.get("/v1/models")
    site.client.post("/v1/files", content=b"\x00\x01")
    site.client.post("/v1/moderations", json={"model": "omni-moderation-latest", "input": "x"})
    site.client.post("/v1/messages/count_tokens", json=ASKED)
    assert site.events == []


def test_a_refused_call_is_not_reported() -> None:
    site = Site(whole(CHAT))
    site.gateway.kill("agent:a")
    assert site.client.post("/v1/chat/completions", json=ASKED).status_code == 403
    assert site.events == []


def test_an_id_that_comes_again_does_not_hide_a_call() -> None:
    site = Site(whole({**CHAT, "id": "chatcmpl-123"}))
    for _ in range(2):
        site.client.post("/v1/chat/completions", json=ASKED)
    first, second = site.events
    assert first.event_id != second.event_id


def test_names_that_the_service_refuses_are_made_so_that_it_takes_them() -> None:
    site = Site(whole({**CHAT, "model": "Größe 1 " + "x" * 200}))
    site.client.post("/v1/chat/completions", json=ASKED)
    assert site.read().model.startswith("Gr--e-1-xxx")


def test_of_a_prompt_nothing_leaves_but_a_keyed_hash_if_that_is_wanted() -> None:
    plain, keyed = Site(whole(CHAT)), Site(whole(CHAT), b"k" * 100)
    for site in (plain, keyed):
        site.client.post("/v1/chat/completions", json=ASKED)
        assert b"friend" not in site.events[0].encode()[1]
    assert plain.read().prompt_hash is None
    assert keyed.read().prompt_hash == prompt_hash([ASKED["messages"]], b"k" * 100)
    assert keyed.read().prompt_hash != prompt_hash([ASKED["messages"]], b"l" * 100)


def test_a_familys_events_are_keyed_so_that_the_service_finds_them_together() -> None:
    event = Event(event_id="1", ts=1.0, agent="coder/sub/1", model="m", input_tokens=1, output_tokens=1)
    assert event.encode()[0] == b"coder"


FIELDS = (
    *("usage", "choices", "delta", "message", "response", "content", "tool_calls", "type", "error", "input_tokens"),
    *("prompt_tokens_details", "cached_tokens", "candidates", "content_block"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS), inner, max_size=4
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(JSON | st.binary(max_size=20), max_size=4), st.sampled_from(["application/json", "text/event-stream"]))
def test_whatever_a_server_answers_the_meter_bears_it(bodies: list[Any], kind: str) -> None:
    meter = Meter({"content-type": kind})
    for body in bodies:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        meter.feed(b"data: " + content + b"\n\n" if "event" in kind else content)
    meter.end()
    assert meter.usage(5).output_tokens >= 0
