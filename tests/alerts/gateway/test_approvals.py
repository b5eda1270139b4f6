"""Which calls wait at a gate, and what each approval lets through. The clock is a number."""

from typing import Any

import msgspec
import pytest
from gating import DEAR, PLAIN, Bench
from hypothesis import given
from hypothesis import strategies as st
from signing import APPROVER, DETECTOR, STRANGER, command

from alerts.gateway.asking import Asked, Request, Spent, Use, decode_word, encode_word
from alerts.gateway.budget import NOTHING, Load
from alerts.gateway.estimate import read_request
from alerts.gateway.guard import Kind
from alerts.gateway.identity import Denial, Identity, denial_body, denial_headers
from alerts.gateway.limits import Gate
from alerts.gateway.pricing import UNKNOWN, PriceList, UnitPrice
from alerts.gateway.wire import State

A = Identity(agent="a", team="t", run="r1", model="opus-4")


def test_a_call_that_a_gate_matches_is_refused_with_an_id_that_a_person_can_approve() -> None:
    bench = Bench(DEAR)

    answer = bench.check(A)

    assert (answer.allowed, answer.denial) == (False, Denial.APPROVAL)
    error = msgspec.json.decode(denial_body(answer, "https://x.example/{scope}"))["error"]
    assert error["code"] == error["type"] == "approval_needed"
    assert error["approval_id"] == answer.approval != ""
    assert error["release_url"] == f"https://x.example/approval%3A{answer.approval}"
    assert "gate dear" in error["message"]
    headers = denial_headers(answer)
    assert (headers["x-should-retry"], headers["x-brakeline-approval-id"]) == ("false", answer.approval)


def test_a_caller_that_tries_again_asks_once() -> None:
    bench = Bench(DEAR)

    for second in range(20):
        bench.check(A, 100.0 + second)

    (asked,) = bench.requests()
    assert (asked.asked, asked.model) == (Asked(gate="dear", agent="agent:a", team="team:t", run="r1"), "opus-4")
    bench.check(A, 140.0)
    assert len(bench.requests()) == 1, "nobody has answered for half a minute"
    bench.hold(A, until=1_000.0)
    bench.check(A, 300.0)
    assert bench.requests() == []
    bench.check(A, 1_001.0)
    assert len(bench.requests()) == 1, "the request's time was over"


def test_all_gates_that_match_have_to_be_approved() -> None:
    bench = Bench(DEAR, Gate(name="late", agents=("a",)))
    bench.approve(A, "span")
    assert bench.check(A).reason.startswith("gate late")


def test_what_is_approved_once_is_one_call() -> None:
    bench = Bench(DEAR)
    bench.approve(A, "once")

    assert [bench.check(A).allowed for _ in range(3)] == [True, False, False]
    spent, asked = bench.words()
    assert isinstance(spent, Spent)
    assert isinstance(asked, Request)
    assert spent.order == asked.seen, "the service sees that the gateway knows of the approval that it took back"


def test_what_is_approved_once_is_not_used_by_a_call_that_a_limit_refuses() -> None:
    bench = Bench(DEAR, limit_tokens=100)
    bench.approve(A, "once")

    assert bench.check(A, load=Load(200, 0)).denial is Denial.CEILING
    assert bench.check(A, load=Load(50, 0)).allowed


def test_a_gateway_that_has_restarted_asks_again_for_what_was_approved_once() -> None:
    bench = Bench(DEAR)
    bench.approve(A, "once")
    bench.approve(Identity(agent="b", model="opus-4"), "span")

    again = bench.restarted(150.0)

    assert not again.check(A, 160.0).allowed
    assert again.check(Identity(agent="b", model="opus-4"), 160.0).allowed


def test_an_approval_for_the_run_covers_what_it_starts_and_no_strangers_claim_to_be_of_it() -> None:
    bench = Bench(DEAR)
    bench.approve(A, "run")
    child = Identity(agent="a", team="t", run="r2", parents=("r1",), model="opus-4")

    assert all(bench.check(A).allowed for _ in range(3))
    assert bench.check(child).allowed
    assert bench.check(Identity(agent="helper", team="t", run="r3", parents=("r2", "r1"), model="opus-4")).allowed
    assert not bench.check(Identity(agent="a", team="t", run="other", model="opus-4")).allowed
    assert not bench.check(Identity(agent="x", team="u", run="r9", parents=("r1",), model="opus-4")).allowed


@pytest.mark.parametrize("use", ["once", "run", "span"])
def test_an_approval_covers_nobody_who_only_claims_to_be_whom_it_is_for(use: Use) -> None:
    bench = Bench(DEAR)
    bench.approve(A, use)

    stranger = Identity(claimed_agent="a", claimed_team="t", run="r1", model="opus-4")
    assert not bench.check(stranger).allowed
    (asked,) = bench.requests()
    assert asked.asked.agent == "claimed agent:a"
    assert bench.check(A).allowed


def test_an_approval_for_a_run_of_one_team_covers_no_other_team() -> None:
    bench = Bench(DEAR)
    bench.approve(Identity(agent="", team="t", run="r1", model="opus-4"), "run")

    assert bench.check(Identity(team="t", run="r1", model="opus-4")).allowed
    assert not bench.check(Identity(team="u", run="r1", model="opus-4")).allowed


def test_an_approval_for_an_hour_ends_by_what_is_signed() -> None:
    bench = Bench(DEAR)
    bench.approve(A, "span", until=3_700.0)
    other_run = Identity(agent="a", team="t", run="r2", model="opus-4")

    assert bench.check(other_run, 3_699.0).allowed
    assert not bench.check(Identity(agent="b", team="t", model="opus-4"), 3_699.0).allowed
    assert not bench.check(other_run, 3_700.0).allowed


def test_what_is_denied_stays_refused_and_asks_no_more() -> None:
    bench = Bench(DEAR)
    bench.deny(A)

    answer = bench.check(A, 9_999.0)

    assert answer.denial is Denial.DENIED
    assert bench.requests() == []
    bench.approve(A, "span")
    assert bench.check(A).allowed
    bench.deny(A)
    assert not bench.check(A).allowed, "an approval can be taken back"


@pytest.mark.parametrize("key", [STRANGER, DETECTOR], ids=["a stranger's key", "a detector's key"])
def test_only_an_approvers_key_approves(key: Any) -> None:
    bench = Bench(DEAR)
    asked = bench.asked(A)
    forged = command(asked.scope, State.RELEASED, seq=9, asked=asked, use="span", issued_at=200.0, expires_at=9_999.0)

    assert bench.guard.apply(asked.scope, key.sign(forged), 100.0).kind is Kind.REFUSED
    assert not bench.check(A).allowed


def test_an_approval_under_another_scope_than_it_is_about_counts_only_there() -> None:
    bench = Bench(DEAR)
    asked = bench.asked(A)
    odd = command("agent:a", State.RELEASED, asked=asked, use="once", issued_at=200.0, expires_at=9_999.0)
    bench.guard.apply("agent:a", APPROVER.sign(odd), 100.0)

    assert not bench.check(A).allowed


def test_a_gateway_that_hears_nothing_any_more_goes_on_holding() -> None:
    assert Bench(DEAR).check(A, 10_000.0).denial is Denial.APPROVAL
    assert Bench(DEAR).restarted(5_000.0).check(A, 5_001.0).denial is Denial.APPROVAL


@pytest.mark.parametrize(
    ("gate", "held", "free"),
    [
        (Gate(name="g", models=("opus*",)), {"model": "anthropic/opus-4-20250514"}, {"model": "haiku"}),
        (Gate(name="g", agents=("coder-*",)), {"agent": "coder-1"}, {"agent": "chat"}),
        (Gate(name="g", agents=("coder-*",)), {"claimed_agent": "coder-1"}, {"claimed_agent": "chat"}),
        (Gate(name="g", teams=("lab",)), {"team": "lab"}, {"team": "shop"}),
        (Gate(name="g", tools=("shell*",)), {"tools": ("read", "shell_exec")}, {"tools": ("read",)}),
        (Gate(name="g", over_micro_usd=1_000), {"tokens": 1_000}, {"tokens": 999}),
        (Gate(name="g", output_usd_per_mtok=15.0), {"model": "anthropic/sonnet"}, {"model": "mini"}),
        (Gate(name="g", output_usd_per_mtok=15.0), {"model": "nobody-knows-it"}, {"model": "mini"}),
        (Gate(name="g", output_usd_per_mtok=15.0), {"model": ""}, {"model": "mini"}),
        (Gate(name="g", models=("o*",), over_micro_usd=9), {"model": "o3", "tokens": 9}, {"model": "o3", "tokens": 8}),
    ],
)  # fmt: skip
def test_a_gate_holds_the_calls_to_which_all_of_it_applies(gate: Gate, held: Any, free: Any) -> None:
    def allowed(model: str = "m", tokens: int = 1, tools: tuple[str, ...] = (), **fields: str) -> bool:
        who = Identity(**({"agent": "x"} | fields), model=model)
        bench = Bench(gate)
        price = {"sonnet": UnitPrice(3.0, 0.3, 15.0), "mini": UnitPrice(0.2, 0.1, 14.9)}
        bench.guard.budget.prices = PriceList(price, UNKNOWN if gate.output_usd_per_mtok else PLAIN)
        return bench.check(who, load=Load(tokens, 0, tools=tools)).allowed

    assert (allowed(**held), allowed(**free)) == (False, True)


def test_what_is_not_told_may_be_anything_but_a_request_without_a_body_calls_none() -> None:
    assert not Bench(DEAR).check(Identity(agent="a")).allowed
    assert not Bench(Gate(name="g", tools=("shell",))).check(A).allowed
    assert Bench(DEAR).check(Identity(agent="a"), load=NOTHING).allowed


def test_tools_and_models_are_read_from_every_providers_form() -> None:
    body = {
        "tools": [
            {"type": "function", "function": {"name": "openai"}}, {"name": "anthropic", "input_schema": {}},
            {"functionDeclarations": [{"name": "gemini"}]}, {"type": "web_search"},
        ],
        "functions": [{"name": "old"}], "toolConfig": {"tools": [{"toolSpec": {"name": "bedrock"}}]},
    }  # fmt: skip
    found = read_request(msgspec.json.encode(body), "/v1beta/models/gemini-2.5-pro:generateContent")

    assert found.model == "gemini-2.5-pro"
    assert set(found.load.tools) == {"openai", "anthropic", "gemini", "web_search", "old", "bedrock"}


def test_no_number_of_other_tools_hides_one() -> None:
    many = tuple(f"t{number}" * 40 for number in range(1_000))
    bench = Bench(Gate(name="g", tools=("shell",)))

    assert bench.check(A, load=Load(1, 1, tools=many)).allowed
    assert not bench.check(A, load=Load(1, 1, tools=(*many, "shell"))).allowed
    (asked,) = bench.requests()
    assert decode_word(encode_word(asked)) == asked


def test_changed_gates_count_for_callers_that_are_known() -> None:
    bench = Bench(DEAR)
    assert not bench.check(A).allowed
    bench.change()
    assert bench.check(A).allowed


names = st.text(max_size=20)
asked = st.builds(Asked, gate=names, agent=names, team=names, run=names)
orders = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(
    st.builds(
        Request, env=names, gateway=names, asked=asked, model=names, tools=st.lists(names, max_size=3).map(tuple),
        estimate_micro_usd=st.integers(0, 10**12), seen=orders,
    )
    | st.builds(Spent, env=names, gateway=names, scope=names, order=orders)
)  # fmt: skip
def test_a_gateways_word_survives_the_wire(word: Request | Spent) -> None:
    assert decode_word(encode_word(word)) == word


@given(asked, asked)
def test_requests_that_differ_in_anything_have_ids_that_differ(one: Asked, other: Asked) -> None:
    assert (one.scope == other.scope) == (one == other)


@given(st.lists(st.sampled_from(["once", "run", "span", "deny", "revoke", "call", "call", "child", "restart"])))
def test_no_order_of_answers_lets_more_through_than_was_approved(steps: list[str]) -> None:
    """A model beside the guard: what covers now, and how many single calls are left."""
    bench, use, left = Bench(DEAR), "", 0
    child = Identity(agent="a", team="t", run="r2", parents=("r1",), model="opus-4")
    for now_s, step in enumerate(steps, start=101):
        match step:
            case "call":
                assert bench.check(A, now_s).allowed == (use in ("run", "span") or left > 0)
                left = 0
            case "child":
                assert bench.check(child, now_s).allowed == (use in ("run", "span"))
            case "restart":
                bench, left = bench.restarted(now_s), 0
            case "deny":
                bench.deny(A, now_s)
                use, left = "", 0
            case "revoke":
                bench.hold(A, until=1e9, now_s=now_s)
                use, left = "", 0
            case _:
                bench.approve(A, step, now_s=now_s)  # type: ignore[arg-type]
                use, left = step, int(step == "once")
