"""A bar follows how near honest agents come to it."""

from random import Random

import pytest
from calls import DAY_S, START_S, call, kills, session, sittings
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import HIGH, Calibration, Highs
from detectors.contract import Call
from detectors.judge import Judge, JudgeState
from detectors.row import floats, pack, unpack

USUAL = 0.02
HURRIED = [START_S + DAY_S * day + 7200.0 * n for day in range(3) for n in range(4)]


def bar(days: int, high_days: int, usual: float = USUAL) -> float:
    calibration, highs = Calibration(1), Highs(1)
    for day in range(days):
        highs.hear(0, HIGH if day < high_days else 0.5)
        calibration.count(highs, floats(usual))
    return calibration.bars[0]


def test_a_bar_stays_while_as_many_agents_come_near_it_as_usual() -> None:
    assert bar(1000, 20) == pytest.approx(1.0)


@given(st.integers(1, 3000), st.data())
def test_a_bar_never_falls_because_one_agent_more_came_near_it(days: int, data: st.DataObject) -> None:
    high_days = data.draw(st.integers(0, days - 1))

    assert 1.0 <= bar(days, high_days) <= bar(days, high_days + 1) <= 1.5


def test_one_day_of_one_agent_moves_a_bar_by_less_than_a_twentieth() -> None:
    assert bar(1, 1) < 1.05


def test_a_detector_that_names_no_usual_share_keeps_its_bar() -> None:
    assert bar(100, 100, usual=0.0) == 1.0


def test_a_bar_that_is_to_stay_from_now_on_is_the_detectors_own_again() -> None:
    calibration, highs = Calibration(1), Highs(1)
    for usual in (USUAL, USUAL, 0.0):
        highs.hear(0, HIGH)
        calibration.count(highs, floats(usual))

    assert calibration.bars[0] == 1.0


def test_a_day_counts_once_with_the_highest_that_was_said_in_it() -> None:
    calibration, highs = Calibration(1), Highs(1)
    for value in (0.5, 0.9, 0.6):
        highs.hear(0, value)
    calibration.count(highs, floats(USUAL))
    calibration.count(highs, floats(USUAL))

    assert (calibration.agent_days, calibration.high_days[0]) == (2.0, 1.0)


def test_what_was_long_ago_weighs_less() -> None:
    calibration, highs = Calibration(1), Highs(1)
    highs.hear(0, HIGH)
    calibration.count(highs, floats(USUAL))
    for _ in range(28):
        calibration.turn_day()

    assert calibration.high_days[0] < 0.2
    assert calibration.agent_days < 0.2


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 9)), max_size=30))
def test_a_calibration_comes_back_as_it_was(heard: list[tuple[int, float]]) -> None:
    calibration, highs = Calibration(3), Highs(3)
    for detector, value in heard:
        highs.hear(detector, value)
        if detector == 2:
            calibration.count(highs, floats(USUAL, 0.0, USUAL))

    assert unpack(Calibration(3), pack(calibration)) == calibration
    assert unpack(Highs(3), pack(highs)) == highs


def growing(at_s: float, agent: str, seed: int, steps: int) -> list[Call]:
    """Return a session that reads one large file after another, at a machine's pace."""
    random, context, made = Random(seed), 30_000, []
    for n in range(steps):
        at_s += random.uniform(5, 9)
        context += int(2600 * random.lognormvariate(0, 0.4))
        made.append(call(at_s, agent=agent, run=f"{agent}-{seed}", step=n, input_tokens=context))
    return made


def state_after(hasty: int) -> tuple[Judge, JudgeState]:
    """Return what is known of forty agents after three days, in which so many read fast at times."""
    judge, state = Judge(), JudgeState()
    calls = [c for a in range(40) for s in HURRIED[::4] for c in session(s + a, 20, seed=a, agent=f"ag{a}")]
    calls += [c for a in range(hasty) for s in HURRIED for c in growing(s + 3600 + 60 * a, f"ag{a}", int(s) % 997, 8)]
    calls += [call(START_S + 3 * DAY_S + a, agent=f"ag{a}") for a in range(40)]
    assert not kills(sittings(judge, state, calls))
    return judge, state


def test_where_honest_agents_read_fast_a_snowball_must_go_on_for_longer() -> None:
    spans = []
    for hasty in (0, 8):
        judge, state = state_after(hasty)
        onset_s = START_S + 3 * DAY_S + 7200
        found = kills(sittings(judge, state, growing(onset_s, "new", 5, 60)))
        spans.append(found[0][0] - onset_s)

    assert judge.bars_of(state)["snowball"] > 1.1
    assert spans[0] < spans[1] < 300


def test_a_day_in_which_an_agent_was_stopped_does_not_count_as_honest() -> None:
    judge, state = Judge(), JudgeState()
    calls = growing(START_S, "ag0", 5, 60)
    assert kills(sittings(judge, state, calls))

    judge.step(state, call(START_S + DAY_S, agent="ag0"))

    assert list(state.shard.calibration.high_days) == [0.0] * len(state.shard.calibration.high_days)


def test_bars_survive_a_restart() -> None:
    _, state = state_after(40)
    restored = JudgeState()
    restored.restore((table, key, row) for (table, key), row in state.drain().items() if row is not None)

    assert restored.shard.calibration == state.shard.calibration
