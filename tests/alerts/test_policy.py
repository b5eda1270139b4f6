"""From a score to a decision: the ladder, floors, cool-down, protection, blast radius, shadow mode."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_cases import ARMED, breach

from alerts.decision import Action
from alerts.policy import Blast, Rules, Standing, decide, release

MINUTE_S = 60.0


def play(rules: Rules, values: list[float], **fields: object) -> list[str]:
    standing, blast = Standing(), Blast([])
    decisions = [
        decide(rules, standing, breach(v, **fields), MINUTE_S * i, blast=blast, agents=100)
        for i, v in enumerate(values)
    ]
    return [str(d.action) if d else "-" for d in decisions]


def test_a_warning_is_said_once_and_a_kill_follows_when_sure() -> None:
    assert play(ARMED, [0.1, 0.6, 0.66, 0.66, 1.2, 2.0]) == ["-", "-", "warn", "-", "kill", "-"]


def test_a_kill_waits_for_as_many_breaches_in_a_row_as_asked() -> None:
    rules = replace(ARMED, consecutive=3, suspicious=Action.HOLD)

    assert play(rules, [1.2, 1.2, 0.0, 1.2, 1.2, 1.2]) == ["hold", "-", "-", "-", "-", "kill"]


def test_below_both_floors_there_is_only_a_warning() -> None:
    assert play(ARMED, [9.0], usd=0.0001, tokens_per_min=10.0) == ["warn"]


def test_a_hard_limit_needs_no_floor() -> None:
    assert play(ARMED, [1.0], usd=0.0, tokens_per_min=0.0, sure=True) == ["kill"]


def test_a_detector_that_only_warns_never_kills() -> None:
    assert play(ARMED, [9.0, 9.0], alert_only=True) == ["warn", "-"]


def test_a_protected_scope_is_only_warned_about() -> None:
    for pattern in ("agent:a*", "team:t"):
        assert play(replace(ARMED, protected=(pattern,)), [9.0]) == ["warn"]


def test_after_an_expired_kill_the_next_one_lasts_twice_as_long() -> None:
    standing, blast = Standing(), Blast([])
    first = decide(ARMED, standing, breach(2.0), 0.0, blast=blast, agents=100)
    again = decide(ARMED, standing, breach(2.0), 3601.0, blast=blast, agents=100)

    assert first is not None and again is not None
    assert (first.expires_s, again.expires_s) == (3600.0, 3601.0 + 7200.0)
    assert first.incident_id == again.incident_id or again.action is Action.KILL


def test_a_released_scope_is_left_alone_for_the_cool_down() -> None:
    standing, blast = Standing(), Blast([])
    decide(ARMED, standing, breach(2.0), 0.0, blast=blast, agents=100)
    release(ARMED, standing, 60.0)

    assert decide(ARMED, standing, breach(2.0), 61.0, blast=blast, agents=100) is None
    assert decide(ARMED, standing, breach(2.0), 61.0 + ARMED.cooldown_s, blast=blast, agents=100) is not None


def test_beyond_the_blast_radius_a_person_has_to_decide() -> None:
    blast, actions = Blast([]), []
    for number in range(12):
        found = decide(ARMED, Standing(), breach(2.0, f"agent:a{number}"), float(number), blast=blast, agents=80)
        assert found is not None
        actions.append(found.action)

    assert actions == [Action.KILL] * 8 + [Action.HOLD] * 4


def test_beyond_the_dollars_that_may_be_stopped_a_person_has_to_decide() -> None:
    rules, blast = replace(ARMED, blast_usd=500.0), Blast([])
    found = [
        decide(rules, Standing(), breach(2.0, f"agent:a{n}", usd=5.0), float(n), blast=blast, agents=80)
        for n in range(2)
    ]

    assert [d.action for d in found if d] == [Action.KILL, Action.HOLD]


def test_a_hold_that_has_lapsed_is_renewed_while_the_breach_goes_on() -> None:
    rules, standing, blast = replace(ARMED, blast_agents_min=0, blast_agents_share=0.0), Standing(), Blast([])
    times = [float(60 * n) for n in range(100)]
    found = [d.at_s for t in times if (d := decide(rules, standing, breach(2.0), t, blast=blast, agents=9))]

    assert found == [0.0, 3600.0]


@given(st.lists(st.floats(0, 10), max_size=60))
def test_shadow_mode_marks_every_decision_and_decides_alike(values: list[float]) -> None:
    assert play(replace(ARMED, shadow=True), values) == play(ARMED, values)
    standing, blast = Standing(), Blast([])
    for i, value in enumerate(values):
        found = decide(replace(ARMED, shadow=True), standing, breach(value), float(i), blast=blast, agents=9)
        assert found is None or found.shadow


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 7200)), max_size=60))
def test_whatever_comes_a_scope_in_force_is_not_decided_again(steps: list[tuple[float, float]]) -> None:
    standing, blast, now_s, until_s = Standing(), Blast([]), 0.0, -1.0
    for value, gap_s in steps:
        now_s += gap_s
        found = decide(ARMED, standing, breach(value), now_s, blast=blast, agents=1000)
        assert not (found and now_s < until_s)
        if found and found.action is Action.KILL and found.expires_s is not None:
            until_s = found.expires_s
