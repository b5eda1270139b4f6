"""What LiteLLM logs of a call, as the event that the service counts. The payloads have the shape of LiteLLM 1.106's."""

from types import SimpleNamespace
from typing import Any

import pytest

from alerts.gateway.events import Event
from alerts.gateway.identity import Identity
from alerts.gateway.litellm_usage import Streamed, event_of_payload
from alerts.gateway.source import Source

ID, CALL = "chatcmpl-Bx1y2z3a4b5c6d7e8f9g0h1i2j3k4", "0b9a1c52-7a59-4c7e-9f53-3a0f8f0c9d11"
METADATA = {
    "user_api_key_alias": "coder-7", "user_api_key_team_id": "t-1", "user_api_key_team_alias": "research",
    "requester_metadata": {"agent_id": "somebody else", "session_id": "s-1"},
    "requester_custom_headers": {"x-run-id": "r-1", "x-parent-run-ids": "r-0, root"},
    "usage_object": {
        "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920}, "completion_tokens_details": {"reasoning_tokens": 192},
    },
}  # fmt: skip
PAYLOAD: dict[str, Any] = {
    "id": ID, "litellm_call_id": CALL, "call_type": "acompletion", "status": "success", "cache_hit": None,
    "model": "openai/gpt-5", "custom_llm_provider": "openai", "prompt_tokens": 2006, "completion_tokens": 300,
    "total_tokens": 2306, "startTime": 1000.0, "endTime": 1002.5, "response_time": 2.5, "response_cost": 0.0041,
    "metadata": METADATA, "messages": [{"role": "user", "content": "a secret"}], "response": {"a": "secret"},
    "error_information": {"error_code": "", "error_class": "", "llm_provider": ""},
}  # fmt: skip


def event(**changes: Any) -> Event:
    found = event_of_payload({**PAYLOAD, **changes}, gateway="litellm:7")
    assert found is not None
    return found


def failure(code: str, kind: str, **changes: Any) -> dict[str, Any]:
    error = {"error_code": code, "error_class": kind, "llm_provider": "openai"}
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "metadata": {**METADATA, "usage_object": {}}}
    return {"status": "failure", "error_information": error, "id": CALL, **nothing, **changes}


def test_a_call_is_counted_by_what_its_provider_said_and_goes_to_the_key_that_paid() -> None:
    got = event()
    assert (got.agent, got.team, got.run_id, got.parent_run_id) == ("coder-7", "research", "r-1", "r-0")
    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.reasoning_tokens) == (2006, 300, 1920, 192)
    assert (got.event_id, got.model, got.provider, got.gateway) == (ID, "gpt-5", "openai", "litellm:7")
    assert (got.ts, got.latency_ms, got.status) == (1002.5, 2500.0, "ok")
    assert b"secret" not in got.encode()[1]


def test_anthropics_cached_input_is_within_the_input_already_as_litellm_counts() -> None:
    usage = {"prompt_tokens": 2098, "completion_tokens": 503, "cache_creation_input_tokens": 248,
             "cache_read_input_tokens": 1800, "prompt_tokens_details": {"cached_tokens": 1800}}  # fmt: skip
    got = event(prompt_tokens=2098, completion_tokens=503, metadata={**METADATA, "usage_object": usage})
    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.cache_write_tokens) == (2098, 503, 1800, 248)


def test_embeddings_have_no_output_and_no_id_of_their_own() -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8}
    got = event(id=CALL, prompt_tokens=8, completion_tokens=0, metadata={**METADATA, "usage_object": usage})
    assert (got.event_id, got.input_tokens, got.output_tokens) == (CALL, 8, 0)


def test_the_answer_of_a_pass_through_route_is_read_where_litellm_does_not() -> None:
    unread = {**PAYLOAD, "id": CALL, "model": "unknown", "prompt_tokens": 0, "completion_tokens": 0,
              "metadata": {**METADATA, "usage_object": {}}}  # fmt: skip
    answer = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5",
              "usage": {"input_tokens": 50, "cache_read_input_tokens": 1800, "output_tokens": 7}}  # fmt: skip
    got = event_of_payload(unread, None, {"response_body": answer})
    assert got is not None
    assert (got.model, got.input_tokens, got.output_tokens) == ("claude-sonnet-4-5", 1850, 7)
    assert event_of_payload(unread, None, {"response_body": {"object": "list"}}) is None


def test_what_a_cache_answered_is_not_spend() -> None:
    assert event_of_payload({**PAYLOAD, "cache_hit": True, "id": f"{ID}_cache_hit1000.0"}) is None


@pytest.mark.parametrize("kind", ["Refusal", "ProxyException", "HTTPException"])
def test_what_the_proxy_refused_itself_was_no_call(kind: str) -> None:
    assert event_of_payload({**PAYLOAD, **failure("403", kind)}) is None


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [("429", "RateLimitError", "error_429"), ("", "APIConnectionError", "error_apiconnectionerror"),
     ("408", "Timeout", "timeout")],
)  # fmt: skip
def test_a_failed_attempt_took_nothing_and_says_why(code: str, kind: str, status: str) -> None:
    got = event(**failure(code, kind))
    assert (got.status, got.input_tokens, got.output_tokens) == (status, 0, 0)


def test_attempts_that_fail_and_the_one_that_follows_them_are_told_apart() -> None:
    attempts = [event(**failure("429", "RateLimitError", endTime=at)) for at in (1001.0, 1001.5)]
    assert len({each.event_id for each in (*attempts, event(id=CALL))}) == 3
    assert event().event_id == event().event_id


def test_an_id_that_comes_again_does_not_hide_another_call() -> None:
    first, second = event(id="chatcmpl-1"), event(id="chatcmpl-1", litellm_call_id="another")
    assert first.event_id != second.event_id


def test_who_called_is_known_better_by_the_hook_that_let_it_pass() -> None:
    got = event_of_payload(PAYLOAD, Identity(agent="b", team="u", run="r-9"), digest="7d")
    assert got is not None
    assert (got.agent, got.team, got.run_id, got.prompt_hash) == ("b", "u", "r-9", "7d")


def test_of_a_payload_without_anything_something_is_made_that_the_service_takes() -> None:
    got = event_of_payload({})
    assert got is not None
    assert (got.agent, got.model, got.input_tokens) == ("unknown", "unknown", 0)


def said(text: str) -> SimpleNamespace:
    delta = SimpleNamespace(content=text, tool_calls=None)
    return SimpleNamespace(id=ID, model="m", choices=[SimpleNamespace(delta=delta)])


ANTHROPIC_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","model":"c",'
    b'"usage":{"input_tokens":50,"cache_read_input_tokens":1800,"output_tokens":1}}}\n\n'
)
CREATED = SimpleNamespace(type="response.created", response=SimpleNamespace(id="resp_" + "7" * 48, model="m"))
ANTHROPIC_DELTA = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"xxxxxxxx"}}\n\n'


@pytest.mark.parametrize(
    ("chunks", "counted", "event_id"),
    [
        ([said("x" * 40), said("y" * 40)], (3, 20), ID),
        ([ANTHROPIC_START, ANTHROPIC_DELTA], (1850, 2), "msg_01XFDUDYJgAACzvnptvVoYEL"),
        ([CREATED, SimpleNamespace(type="response.output_text.delta", delta="x" * 12)], (3, 3), "resp_" + "7" * 48),
        ([], (3, 0), CALL),
    ],
    ids=["chat", "messages", "responses", "nothing yet"],
)
def test_a_stream_that_is_cut_reports_what_passed_under_the_id_that_litellm_would_log(
    chunks: list[Any], counted: tuple[int, int], event_id: str
) -> None:
    made: list[Event] = []
    source = Source(lambda pending: made.append(pending()), "litellm:7", clock=lambda: 1_000.0)  # type: ignore[arg-type]
    data = {"litellm_call_id": CALL, "model": "m", "messages": [{"role": "user", "content": "Say a word"}],
            "litellm_logging_obj": SimpleNamespace(model_call_details={"model": "gpt-5"})}  # fmt: skip
    streamed = Streamed(Identity(agent="a"), data, source)
    for chunk in chunks:
        streamed.take(chunk)
    assert made == []
    streamed.end("partial")
    (got,) = made
    assert (got.status, got.model, got.event_id) == ("partial", "gpt-5", event_id)
    assert (got.input_tokens, got.output_tokens) == counted
