"""After a release or an expiry a scope earns its trust back; who offends again waits longer."""

from hypothesis import given
from hypothesis import strategies as st

from alerts.probation import (
    NEW,
    Leash,
    Probation,
    Trial,
    bar,
    breaches,
    freed,
    kill_s,
    on_probation,
    scaled,
    standing,
    struck,
    used,
)
from detectors.ceiling import Ceiling, RunCeiling
from detectors.contract import CALM

RULES = Probation()


def test_on_probation_a_scope_has_a_tenth_and_a_shorter_fuse() -> None:
    trial = freed(struck(NEW, RULES, 0.0), RULES, 100.0)

    assert (bar(trial, RULES, 200.0), breaches(3, trial, RULES, 200.0)) == (0.7, 1)


def test_after_its_probation_it_is_trusted_with_all() -> None:
    trial = freed(struck(NEW, RULES, 0.0), RULES, 100.0)
    later_s = 100.0 + RULES.span_s

    assert (bar(trial, RULES, later_s), breaches(3, trial, RULES, later_s)) == (1.0, 3)


def test_a_repeat_offender_is_out_and_watched_for_longer_each_time() -> None:
    trial, kills, spans = NEW, [], []
    for now_s in (0.0, 5_000.0, 15_000.0):
        kills.append(kill_s(600.0, trial, RULES, now_s))
        trial = freed(struck(trial, RULES, now_s), RULES, now_s + 600)
        spans.append(trial.until_s - now_s - 600)

    assert kills == [600.0, 1_200.0, 2_400.0]
    assert spans == [1_800.0, 3_600.0, 7_200.0]


def test_strikes_are_forgotten_one_a_day() -> None:
    trial = Trial(strikes=2, struck_s=0.0)

    assert [standing(trial, RULES, day * 86_400.0) for day in (0, 1, 2, 9)] == [2, 1, 0, 0]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e6)), max_size=60))
def test_trust_is_bounded_whatever_happens(events: list[tuple[bool, float]]) -> None:
    trial, now_s = NEW, 0.0
    for is_strike, after_s in events:
        now_s += after_s
        trial = struck(trial, RULES, now_s) if is_strike else freed(trial, RULES, now_s)

        assert 0 <= trial.strikes <= RULES.strikes_max
        assert kill_s(60.0, trial, RULES, now_s) <= 60.0 * RULES.longer**RULES.strikes_max
    assert not on_probation(trial, now_s + RULES.span_s * RULES.longer**RULES.strikes_max)


def test_on_probation_a_tenth_of_a_limit_is_enough_and_counts_from_its_begin() -> None:
    leash, ceiling = Leash(), Ceiling(usd_per_hour=50.0)

    scores = [used(leash, ceiling, RunCeiling(), RULES, 60.0 * n, 1_000, 1_000_000) for n in range(6)]

    assert scores[:5] == [CALM] * 5
    assert "over the ceiling of $5.00" in scores[5].reason
    assert "on probation it has 10% of its limits" in scores[5].reason


def test_a_run_on_probation_has_a_tenth_of_its_steps_again() -> None:
    leash, run = Leash(), RunCeiling(steps=500, depth=3)

    scores = [used(leash, Ceiling(), run, RULES, float(n), 10, 10) for n in range(51)]

    assert scores[:50] == [CALM] * 50
    assert scores[50].reason.startswith("51 steps since it was let go, over 50")
    assert scaled(run, 0.1).depth == 3
