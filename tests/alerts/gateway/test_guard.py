"""What a gateway believes, and whom it refuses."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing import APPROVER, DETECTOR, STRANGER, command, guard, heartbeat, live_guard

from alerts.gateway.book import Book
from alerts.gateway.guard import Guard, Kind
from alerts.gateway.health import Health
from alerts.gateway.identity import Denial, Identity, denial_body, denial_headers
from alerts.gateway.keys import SigningKey
from alerts.gateway.wire import HEARTBEAT_KEY, Command, State, WireError

A = Identity(agent="a", team="t")


def put(to: Guard, signed: Command, key: SigningKey = APPROVER, now_s: float = 100.0) -> Kind:
    return to.apply(signed.scope, key.sign(signed), now_s).kind


def test_a_kill_refuses_and_a_release_lets_work_again() -> None:
    gate = live_guard()
    assert gate.check(A, 100.0).allowed

    put(gate, command(), DETECTOR)
    assert gate.check(A, 100.0).denial is Denial.KILLED
    assert gate.check(Identity(agent="b"), 100.0).allowed

    put(gate, command(state=State.RELEASED, seq=2))
    assert gate.check(A, 100.0).allowed


@pytest.mark.parametrize("scope", ["agent:a", "team:t", "workflow:w", "run:r", "run:parent", "global:all", "agent:c"])
def test_every_scope_of_a_call_can_stop_it(scope: str) -> None:
    gate = live_guard()
    put(gate, command(scope))

    who = Identity(agent="a", team="t", workflow="w", run="r", parents=("parent",), claimed_agent="c")
    assert not gate.check(who, 100.0).allowed
    assert gate.check(Identity(agent="x", team="y"), 100.0).allowed is (scope != "global:all")


@pytest.mark.parametrize("scope", ["agent:Alice-s-key", "team:R-D", "workflow:a-b", "run:n-1", "run:n-0", "team:T-1"])
def test_who_is_reported_under_a_plainer_name_is_stopped_under_it_too(scope: str) -> None:
    gate = live_guard()
    who = Identity(agent="Alice's key", team="R&D", workflow="a b", run="n°1", parents=("n°0",), claimed_team="T 1")
    others = [Identity(agent="Alice's key"), Identity(team="R&D"), Identity(agent="Bob's key", team="R&D")]
    assert all(gate.check(each, 100.0).allowed for each in (who, *others))
    put(gate, command(scope))
    assert not gate.check(who, 100.0).allowed
    assert gate.cut(who, 100.0) is not None
    # What was known of an agent's team holds for its calls that don't name one.
    assert [gate.check(each, 100.0).allowed for each in others] == {
        "agent:Alice-s-key": [False, True, True], "team:R-D": [False] * 3
    }.get(scope, [True] * 3)  # fmt: skip


def test_who_is_reported_under_a_plainer_name_is_stopped_however_many_others_have_called_since() -> None:
    gate, who = live_guard(), Identity(agent="Alice's key", team="t")
    gate.check(who, 100.0)
    for number in range(51_000):
        gate.check(Identity(agent=f"key {number}", team=f"team {number}"), 100.0)
    put(gate, command("agent:Alice-s-key"))
    assert not gate.check(who, 100.0).allowed


def test_a_kill_of_a_name_as_it_is_written_counts_as_well() -> None:
    gate = live_guard()
    put(gate, command("agent:Alice's key"))
    assert not gate.check(Identity(agent="Alice's key"), 100.0).allowed
    assert gate.check(Identity(agent="Alice-s-key"), 100.0).allowed


def test_a_claim_never_frees_who_is_authenticated() -> None:
    gate = live_guard()
    put(gate, command())

    assert not gate.check(Identity(agent="a", claimed_agent="harmless", claimed_team="other"), 100.0).allowed


def test_a_runs_kill_covers_descendants_heard_of_before() -> None:
    gate = live_guard()
    gate.check(Identity(agent="x", run="child", parents=("root",)), 100.0)
    gate.check(Identity(agent="x", run="grandchild", parents=("child",)), 100.0)
    put(gate, command("run:root"))

    assert not gate.check(Identity(agent="y", run="grandchild"), 100.0).allowed
    assert gate.check(Identity(agent="y", run="another"), 100.0).allowed


def test_a_roots_kill_covers_a_recursion_of_any_depth() -> None:
    gate = live_guard()
    for depth in range(1, 500):
        gate.check(Identity(agent="x", run=f"{depth}", parents=(f"{depth - 1}",)), 100.0)
    put(gate, command("run:0"))

    assert not any(gate.check(Identity(agent="x", run=f"{depth}"), 100.0).allowed for depth in range(500))
    assert not gate.check(Identity(agent="x", run="more", parents=("499",)), 100.0).allowed
    gate.check(Identity(agent="x", run="0", parents=("begun by",)), 100.0)
    put(gate, command("run:0", State.RELEASED, seq=2))
    put(gate, command("run:begun by"))
    assert not gate.check(Identity(agent="x", run="499"), 100.0).allowed
    assert gate.check(Identity(agent="x", run="another"), 100.0).allowed


def test_another_call_cannot_give_a_run_a_new_parent() -> None:
    gate = live_guard()
    gate.check(Identity(run="victim", parents=("mine",)), 100.0)
    gate.check(Identity(run="victim", parents=("bad",)), 100.0)
    put(gate, command("run:bad"))

    assert gate.check(Identity(run="victim"), 100.0).allowed


def test_a_teams_kill_covers_an_agent_whose_team_was_authenticated_once() -> None:
    gate = live_guard()
    gate.check(A, 100.0)
    put(gate, command("team:t"))

    assert not gate.check(Identity(agent="a"), 100.0).allowed


def test_a_command_lapses_when_it_was_signed_to() -> None:
    gate = live_guard()
    put(gate, command(expires_at=130.0))

    assert not gate.check(A, 129.9).allowed
    assert gate.check(A, 130.0).allowed


@pytest.mark.parametrize(
    ("signed", "key"),
    [
        (command(state=State.RELEASED, seq=2), DETECTOR),
        (command(state=State.RELEASED, seq=2), STRANGER),
        (command(state=State.RELEASED, seq=2, env="elsewhere"), APPROVER),
        (command(state=State.THROTTLED, seq=2, rate_per_min=1e9), DETECTOR),
        (command(seq=2, expires_at=100.0), DETECTOR),
        (command(state=State.RELEASED, seq=1), APPROVER),
        (command(state=State.RELEASED, seq=9, epoch=0), APPROVER),
    ],
)
def test_nobody_frees_without_the_right_key_and_a_higher_order(signed: Command, key: SigningKey) -> None:
    gate = live_guard()
    put(gate, command())
    put(gate, signed, key)

    assert not gate.check(A, 100.0).allowed


def test_a_detector_cannot_date_ahead_to_outlive_a_kill() -> None:
    gate = live_guard()
    put(gate, command(expires_at=200.0))
    put(gate, command(state=State.DOWNGRADED, seq=2, issued_at=300.0), DETECTOR, now_s=110.0)

    assert not gate.check(A, 120.0).allowed


def test_a_tombstone_frees_nobody_and_is_an_alarm() -> None:
    gate = live_guard()
    put(gate, command())

    assert gate.apply("agent:a", None, 100.0).kind is Kind.REFUSED
    assert not gate.check(A, 100.0).allowed
    assert gate.health(100.0) is Health.UNTRUSTED


def test_an_update_without_room_is_refused_and_the_rest_stays() -> None:
    gate = live_guard(book=Book(entries_max=2))
    assert [put(gate, command(f"agent:{name}")) for name in "abc"] == [Kind.COMMAND, Kind.COMMAND, Kind.REFUSED]
    assert not gate.check(A, 100.0).allowed

    put(gate, command("agent:b", State.RELEASED, seq=2))
    assert put(gate, command("agent:c")) is Kind.COMMAND


def test_throttle_lets_its_rate_through() -> None:
    gate = live_guard()
    put(gate, command(state=State.THROTTLED, rate_per_min=60.0))

    passed = sum(gate.check(A, 100.0 + i / 10).allowed for i in range(600))
    assert 60 <= passed <= 71
    answers = [gate.check(A, 160.0) for _ in range(2)]
    denied = answers[-1]
    assert denied.denial is Denial.THROTTLED
    assert 0 < denied.retry_after_s <= 1


def test_downgrade_maps_the_model_and_a_kill_beside_it_wins() -> None:
    gate = live_guard()
    put(gate, command(state=State.DOWNGRADED, models={"large": "small", "*": "tiny"}))
    assert gate.check(Identity(agent="a", model="large"), 100.0).model == "small"
    assert gate.check(Identity(agent="a", model="huge"), 100.0).model == "tiny"

    put(gate, command("team:t"))
    assert not gate.check(Identity(agent="a", team="t", model="large"), 100.0).allowed


def test_states_follow_the_table() -> None:
    gate = guard()
    assert gate.health(100.0) is Health.BOOT
    assert gate.check(A, 100.0).denial is Denial.NOT_READY
    gate.begin_sync()
    assert gate.health(100.0) is Health.SYNCING
    gate.apply(HEARTBEAT_KEY, heartbeat(gate.book, 80.0), 100.0)
    gate.reach_end()
    assert gate.health(100.0) is Health.SYNCING, "an old heartbeat proves nothing"
    gate.apply(HEARTBEAT_KEY, heartbeat(gate.book, 101.0), 101.0)
    assert gate.health(101.0) is Health.LIVE
    assert gate.health(112.0) is Health.STALE
    gate.apply(HEARTBEAT_KEY, heartbeat(gate.book, 113.0), 113.0)
    assert gate.health(113.0) is Health.LIVE
    gate.apply("agent:a", b"forged", 113.0)
    assert gate.health(114.0) is Health.UNTRUSTED
    gate.apply(HEARTBEAT_KEY, heartbeat(gate.book, 144.0), 144.0)
    assert gate.health(144.0) is Health.LIVE


def test_an_erased_kill_shows_in_the_digest() -> None:
    complete = Book()
    gate = guard(book=complete)
    put(gate, command())
    robbed = guard()
    robbed.begin_sync()
    robbed.reach_end()
    robbed.apply(HEARTBEAT_KEY, heartbeat(complete, 100.0), 100.0)
    assert robbed.health(100.0) is Health.SYNCING

    other = live_guard()
    for now_s in (102.0, 104.0, 106.0):
        other.apply(HEARTBEAT_KEY, heartbeat(complete, now_s), now_s)
    assert other.health(106.0) is Health.UNTRUSTED


def test_without_kafka_a_restarted_gateway_enforces_its_snapshot_for_ever() -> None:
    before = live_guard()
    put(before, command())
    gate = guard(now_s=200.0)
    assert gate.restore(before.snapshot(), 200.0) == 1

    assert not any(gate.check(A, 200.0 + minute * 60).allowed for minute in range(11))
    assert gate.check(Identity(agent="b"), 260.0).allowed
    assert gate.health(206.0) is Health.STALE
    assert gate.ready(206.0)


def test_closed_refuses_the_unknown_only_once_stale_for_long() -> None:
    gate = live_guard(stale="closed", closed_after_s=60.0)
    assert gate.check(A, 105.0).allowed
    assert gate.check(A, 120.0).allowed
    assert gate.check(A, 171.0).denial is Denial.STALE

    some = live_guard(closed_scopes=frozenset({"team:t"}), closed_after_s=0.0)
    assert some.check(A, 111.0).denial is Denial.STALE
    assert some.check(Identity(agent="b"), 111.0).allowed


@given(st.data())
def test_a_damaged_snapshot_is_found_out(data: st.DataObject) -> None:
    before = live_guard()
    put(before, command())
    content = bytearray(before.snapshot())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    gate = guard()
    with pytest.raises(WireError):
        gate.restore(bytes(content), 100.0)
    assert not gate.check(A, 100.0).allowed


def test_a_refusal_says_what_and_why() -> None:
    gate = live_guard()
    put(gate, command(expires_at=500.0))
    answer = gate.check(A, 100.0)

    error = msgspec.json.decode(denial_body(answer, "https://x/{scope}?seq={seq}"))["error"]
    assert error == {
        "type": "agent_killed", "code": "agent_killed", "scope": "agent:a", "reason": "a loop",
        "message": "Refused by Brakeline: agent:a is stopped: a loop", "kill_id": "agent:a@1.1", "until": 500.0,
        "release_url": "https://x/agent%3Aa?seq=1",
    }  # fmt: skip
    headers = denial_headers(answer)
    assert headers["x-should-retry"] == "false"
    assert headers["x-brakeline-kill-id"] == "agent:a@1.1"
