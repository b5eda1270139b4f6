"""What a call may take is read from its request so that no client's wording makes it look smaller than it is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.gateway.asgi import Body
from alerts.gateway.budget import OUTPUT_TOKENS, USUAL
from alerts.gateway.estimate import BYTES_A_TOKEN, COUNT_MAX, read_request
from alerts.gateway.headers import HeaderNames, identity_of
from alerts.gateway.identity import Identity
from alerts.gateway.pricing import UNKNOWN, PriceList

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "name", "tools", "type"]), inner),
    max_leaves=8,
)


def output_of(body: Any) -> int:
    return read_request(msgspec.json.encode(body)).load.output_tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, OUTPUT_TOKENS),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 1, "max_tokens": 9_000}, 9_000),
        ({"max_tokens": 9_000.0}, 9_000),
        ({"max_tokens": "9000"}, 9_000),
        ({"max_tokens": 1e300}, COUNT_MAX),
        ({"max_tokens": "many"}, OUTPUT_TOKENS),
        ({"max_tokens": True}, OUTPUT_TOKENS),
        ({"max_tokens": -5}, OUTPUT_TOKENS),
        ({"max_tokens": 9, "n": 3}, 27),
        ({"max_tokens": 9, "best_of": 4, "n": 2}, 36),
        ({"generationConfig": {"maxOutputTokens": 9_000, "candidateCount": 2}}, 18_000),
        ({"generation_config": {"max_output_tokens": 9_000}}, 9_000),
        ({"inferenceConfig": {"maxTokens": 9_000}}, 9_000),
    ],
)
def test_the_most_that_a_request_says_anywhere_is_what_it_may_take(body: Any, tokens: int) -> None:
    assert output_of(body) == tokens


@pytest.mark.parametrize("content", [b'{"tools": [{"name": "shell"}], "x": NaN}', b"\x1f\x8b packed", b"[1]"])
def test_a_body_that_cannot_be_read_here_may_offer_any_tool(content: bytes) -> None:
    assert read_request(content).load.tools is None
    assert read_request(b"").load.tools == ()


@pytest.mark.parametrize(
    ("size", "tokens"),
    [(b"3000", 3_000 // BYTES_A_TOKEN + 1), (b"", USUAL.input_tokens + 1), (b"x", USUAL.input_tokens + 1)],
)
async def test_a_body_that_says_it_is_no_json_is_of_its_size_or_a_usual_one_and_may_offer_any_tool(
    size: bytes, tokens: int
) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", size)]
    asked = await Body(None).read({"method": "POST", "path": "/v1/chat/completions", "headers": headers})  # type: ignore[arg-type]
    assert (asked.load.input_tokens, asked.load.tools) == (tokens, None)


def test_tools_that_gemini_runs_itself_are_named_by_their_field() -> None:
    tools = [{"googleSearch": {}}, {"function_declarations": [{"name": "mine"}]}]
    assert read_request(msgspec.json.encode({"tools": tools})).load.tools == ("googleSearch", "mine")


@given(st.dictionaries(st.sampled_from(["max_tokens", "n", "model", "tools", "generationConfig", "functions"]), JSON))
def test_whatever_a_client_writes_is_read_without_an_error(body: Any) -> None:
    load = read_request(msgspec.json.encode(body)).load
    assert load.input_tokens > 0
    assert load.output_tokens >= 0


def test_parents_in_a_header_are_read_whole_and_of_too_many_the_nearest_and_the_topmost() -> None:
    runs = [f"{number:036x}" for number in range(40)]
    said = identity_of({"x-run-id": "r", "x-parent-run-ids": ", ".join(runs)}, HeaderNames())
    assert said.parents == (*runs[:31], runs[-1])


def test_names_of_any_length_are_kept_up_to_a_bound_and_of_many_parents_the_nearest_and_the_topmost() -> None:
    long, parents = "x/" * 500_000, tuple(f"p{number}" for number in range(1_000))
    who = Identity(agent=long, claimed_agent=long, run=long, parents=parents, model=long)
    assert {len(each) for each in (who.agent, who.claimed_agent, who.run, who.model)} == {512}
    assert (who.parents[0], who.parents[-1], len(who.parents)) == ("p0", "p999", 63)
    assert len(read_request(msgspec.json.encode({"model": long})).model) == 512
    assert PriceList().of(who.model) is UNKNOWN
