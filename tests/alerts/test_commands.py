"""From a decision to a signed command: what is ordered once, what is refused, what is repaired."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing import APPROVER, COMMANDER, DETECTOR, ENV, KEYS, TRUST, command, guard

from alerts.commands import Ordered, Orders, RefusedError
from alerts.decision import Action, Decision
from alerts.gateway.guard import Guard, Health
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Role, SigningKey
from alerts.gateway.wire import HEARTBEAT_KEY, State

PERSON = "user:alice"


def orders(keys: Mapping[Role, SigningKey] = KEYS) -> Orders:
    made = Orders(ENV, "w", keys, rate_per_min=6.0, models={"large": "small"})
    made.take_over()
    return made


def decision(action: Action, incident: str = "i1", scope: str = "agent:a", **fields: object) -> Decision:
    return Decision(
        **{"at_s": 100.0, "scope": scope, "action": action, "reason": "r", "incident_id": incident, **fields}
    )


def give(to: Orders, made: Decision, now_s: float = 100.0) -> Ordered | None:
    ordered = to.order(made, now_s)
    if ordered is not None:
        to.confirm(ordered, now_s)
    return ordered


def test_a_command_that_was_not_written_is_ordered_again() -> None:
    book = orders()
    first, again = (book.order(decision(Action.KILL), 100.0) for _ in range(2))

    assert first is not None
    assert again is not None
    assert first.command.order == again.command.order == (1, 1)


def test_the_same_decision_is_carried_out_once() -> None:
    book = orders()
    assert give(book, decision(Action.KILL)) is not None

    assert give(book, decision(Action.KILL)) is None
    assert give(book, decision(Action.KILL, incident="another")) is None
    assert give(book, decision(Action.THROTTLE)) is None


def test_a_decision_read_again_does_not_undo_a_release() -> None:
    book = orders()
    give(book, decision(Action.KILL))
    give(book, decision(Action.RELEASE, actor=PERSON, releases_seq=1), 110.0)

    assert give(book, decision(Action.KILL), 120.0) is None
    assert give(book, decision(Action.KILL, incident="judged before", at_s=109.0), 120.0) is None
    assert give(book, decision(Action.KILL, incident="judged after", at_s=119.0), 120.0) is not None


def test_a_release_of_what_is_no_longer_in_force_names_what_is() -> None:
    book = orders()
    give(book, decision(Action.THROTTLE))
    give(book, decision(Action.KILL, incident="i2"))

    with pytest.raises(RefusedError, match=r"seq 2 .*killed.* is in force"):
        book.order(decision(Action.RELEASE, actor=PERSON, releases_seq=1), 100.0)
    with pytest.raises(RefusedError, match="nothing is in force"):
        book.order(decision(Action.RELEASE, scope="agent:b", actor=PERSON), 100.0)


@pytest.mark.parametrize(
    "made",
    [decision(Action.KILL, scope="global:all"), decision(Action.KILL, scope="global:all", actor=PERSON)],
)
def test_global_needs_a_person_and_the_approvers_key(made: Decision) -> None:
    with pytest.raises(RefusedError):
        orders({Role.DETECTOR: DETECTOR, Role.COMMANDER: COMMANDER}).order(made, 100.0)
    if made.actor == "detector":
        with pytest.raises(RefusedError):
            orders().order(made, 100.0)


def test_a_release_needs_the_approvers_key() -> None:
    book = orders({Role.DETECTOR: DETECTOR, Role.COMMANDER: COMMANDER})
    give(book, decision(Action.KILL))

    with pytest.raises(RefusedError, match="approver"):
        book.order(decision(Action.RELEASE, actor=PERSON, releases_seq=1), 100.0)


def test_shadow_orders_nothing() -> None:
    assert orders().order(decision(Action.KILL, shadow=True), 100.0) is None


def test_a_detectors_harder_command_does_not_end_earlier() -> None:
    book = orders()
    give(book, decision(Action.THROTTLE, expires_s=900.0))
    ordered = give(book, decision(Action.KILL, incident="i2", expires_s=500.0))

    assert ordered is not None
    assert ordered.command.ends_s == 900.0


def test_what_lapsed_is_not_active_and_may_be_ordered_again() -> None:
    book = orders()
    give(book, decision(Action.KILL, expires_s=200.0))
    assert [each.scope for each in book.active(199.0)] == ["agent:a"]
    assert book.active(200.0) == []

    again = give(book, decision(Action.KILL, incident="i2", expires_s=400.0), 210.0)
    assert again is not None
    assert again.command.seq == 2


def test_a_new_writer_goes_on_where_the_last_one_stood_with_a_higher_epoch() -> None:
    first, second = orders(), Orders(ENV, "w2", KEYS)
    written = give(first, decision(Action.KILL))
    assert written is not None
    second.observe(TRUST.verify(written.value, "agent:a"), written.value, 101.0)
    second.take_over()

    released = give(second, decision(Action.RELEASE, actor=PERSON, releases_seq=1), 102.0)
    assert released is not None
    assert released.command.order == (2, 2)
    assert released.command.incident_id == "i1"


@pytest.mark.parametrize("thief", [None, b"garbage", DETECTOR.sign(command(seq=0, epoch=0))])
def test_a_good_record_that_was_overwritten_is_written_again(thief: bytes | None) -> None:
    book = orders()
    written = give(book, decision(Action.KILL))
    assert written is not None
    try:
        assert thief is not None
        book.observe(TRUST.verify(thief, "agent:a"), thief, 101.0)
    except (AssertionError, ValueError):
        book.observe_unusable("agent:a", thief, 101.0)

    assert book.repairs(101.0) == {"agent:a": written.value}
    assert book.repairs(101.0) == {}


def test_a_kill_that_a_stolen_key_outbid_goes_out_above_it() -> None:
    book, gate = orders(), guard()
    written = give(book, decision(Action.KILL))
    assert written is not None
    stolen = DETECTOR.sign(command(state=State.DOWNGRADED, seq=40, epoch=40, expires_at=100.5))
    assert book.observe(TRUST.verify(stolen, "agent:a"), stolen, 101.0), "somebody writes under a higher epoch"
    book.take_over()

    for value in (stolen, written.value, book.repairs(101.0)["agent:a"]):
        gate.apply("agent:a", value, 101.0)
    assert gate.check(Identity(agent="a"), 101.0).denial == "agent_killed"
    assert book.repairs(102.0) == {}


def test_our_own_records_read_back_late_need_no_repair() -> None:
    book = orders()
    records = [give(book, decision(Action.KILL)), give(book, decision(Action.RELEASE, actor=PERSON, releases_seq=1))]
    for each in records:
        assert each is not None
        book.observe(TRUST.verify(each.value, "agent:a"), each.value, 101.0)

    assert book.repairs(101.0) == {}


def test_sequence_numbers_go_on_after_a_released_scope_was_dropped() -> None:
    book = orders()
    give(book, decision(Action.KILL))
    give(book, decision(Action.RELEASE, actor=PERSON, releases_seq=1))
    book.observe_unusable("agent:a", None, 101.0)

    again = give(book, decision(Action.KILL, incident="i2"), 102.0)
    assert again is not None
    assert again.command.seq == 3


ACTIONS = st.sampled_from([Action.KILL, Action.HOLD, Action.THROTTLE, Action.DOWNGRADE, Action.RELEASE])
STEPS = st.tuples(
    ACTIONS, st.sampled_from(["agent:a", "team:t", "global:all"]), st.sampled_from(["detector", PERSON]),
    st.sampled_from([None, 5.0, 50.0]), st.sampled_from([0.0, 1.0, 20.0]),
)  # fmt: skip


@given(st.lists(STEPS, max_size=25))
def test_a_gateway_accepts_all_that_is_ordered_and_agrees_with_every_heartbeat(
    steps: list[tuple[Action, str, str, float | None, float]],
) -> None:
    book, gate, now_s = orders(), guard(), 100.0
    gate.begin_sync()
    gate.reach_end()
    for index, (action, scope, actor, lasts_s, waits_s) in enumerate(steps):
        now_s += waits_s
        expires_s = None if lasts_s is None else now_s + lasts_s
        try:
            ordered = give(
                book, decision(action, f"i{index}", scope, actor=actor, expires_s=expires_s, at_s=now_s), now_s
            )
        except RefusedError:
            continue
        if ordered is not None:
            gate.apply(scope, ordered.value, now_s)
        now_s += 0.001
        gate.apply(HEARTBEAT_KEY, book.heartbeat(now_s), now_s)
        assert gate.health(now_s) is Health.LIVE
        assert gate.watch.alarms == 0
        assert_same(gate, book, now_s)


def assert_same(gate: Guard, book: Orders, now_s: float) -> None:
    stopped = {each.scope for each in book.active(now_s) if each.state in (State.KILLED, State.HELD)}
    answer = gate.check(Identity(agent="a", team="t"), now_s)
    assert (answer.denial in ("agent_killed", "agent_held")) is bool(stopped)


def test_the_approvers_key_signs_for_people() -> None:
    ordered = orders().order(decision(Action.KILL, actor=PERSON), 100.0)
    assert ordered is not None
    assert ordered.role is APPROVER.role


def test_a_kill_that_is_read_again_after_it_has_lapsed_is_not_ordered_anew() -> None:
    made, kill = orders(), decision(Action.KILL, expires_s=160.0)
    ordered = made.order(kill, 101.0)
    assert ordered is not None
    made.confirm(ordered, 101.0)

    assert made.order(kill, 500.0) is None
