"""A loop whose sizes vary is found by calls that are much alike and evenly spaced; honest work that is so is left."""

from random import Random
from typing import Any

import pytest
from calls import DAY_S, HOUR_S, START_S, call, honest, kills, scene, session, sittings
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract import Call, Score
from detectors.echo import Echo
from detectors.evidence import bar_at_rate, waiting_nats
from detectors.judge import Judge, JudgeParameters, JudgeState
from detectors.row import floats, pack, unpack
from detectors.shares import Shares
from detectors.verdict import weigh

ONSET_S = START_S + 3 * DAY_S
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def varied_loop(gap_s: float, calls: int, seed: int, **fixed: Any) -> list[Call]:
    """Return a loop of which no two sizes are the same: inputs vary by 3 %, outputs by 20 %."""
    random, now_s, made = Random(seed), ONSET_S, []
    for n in range(calls):
        now_s += gap_s * random.lognormvariate(0, 0.2)
        sizes = {
            "input_tokens": int(9000 * (1 + random.gauss(0, 0.03))),
            "output_tokens": int(400 * random.lognormvariate(0, 0.2)),
        }
        made.append(call(now_s, step=n, **(sizes | fixed)))
    return made


def template(seed: int, hours: float, gap_s: float) -> list[Call]:
    """Return an agent that fills in one template all day, at an even pace."""
    random, now_s, made = Random(seed), START_S, []
    while (now_s := now_s + gap_s * random.lognormvariate(0, 0.2)) < START_S + hours * HOUR_S:
        sizes = {
            "input_tokens": int(9000 * random.lognormvariate(0, 0.03)),
            "output_tokens": int(400 * random.lognormvariate(0, 0.2)),
        }
        made.append(call(now_s, **sizes))
    return made


def killed(calls: list[Call], **parameters: Any) -> list[tuple[float, str, str]]:
    return kills(sittings(Judge(JudgeParameters(**parameters)), JudgeState(), calls))


@SEEDS
def test_a_slow_loop_whose_sizes_vary_is_killed_among_honest_calls(seed: int) -> None:
    calls = [*honest(START_S, 81, seed), *varied_loop(60.0, 480, seed)]

    found = killed(calls)
    assert found[0][0] - ONSET_S < 2 * HOUR_S
    assert found[0][2] == "echo"
    assert not killed(calls, echo=None)


@SEEDS
def test_a_tight_loop_whose_sizes_vary_is_killed_within_two_minutes_by_its_run(seed: int) -> None:
    found = killed([*honest(START_S, 73, seed), *varied_loop(4.0, 120, seed, run="stuck")])

    assert found[0][0] - ONSET_S < 120
    assert found[0][1] == "run:stuck"


def test_the_reason_tells_how_many_were_alike_how_large_they_are_and_what_is_usual() -> None:
    calls = [*honest(START_S, 81), *varied_loop(60.0, 480, 1)]

    said = [v for _, v in sittings(Judge(JudgeParameters(loop=None)), JudgeState(), calls) if v.detector == "echo"]
    assert "most of them much alike (about 8," in said[0].reason or "(about 9," in said[0].reason
    assert "evenly spaced; usually" in said[0].reason


@SEEDS
@pytest.mark.parametrize("gap_s", [10.0, 60.0, 600.0])
def test_an_agent_that_fills_in_one_template_from_its_first_minute_on_is_left_alone(seed: int, gap_s: float) -> None:
    assert not killed(template(seed, min(120.0, gap_s), gap_s))


@SEEDS
def test_honest_calls_of_all_sizes_and_growing_sessions_are_left_alone(seed: int) -> None:
    starts = [START_S + d * DAY_S + h * HOUR_S for d in range(4) for h in (9, 11, 14)]

    assert not killed(list(honest(START_S, 120, seed)))
    assert not killed([c for n, start_s in enumerate(starts) for c in session(start_s, 60, seed=n + 100 * seed)])


@SEEDS
@pytest.mark.parametrize(("latency_s", "is_a_loop"), [(0.4, True), (8.0, False)])
def test_calls_that_were_under_way_at_once_are_no_loop(seed: int, latency_s: float, is_a_loop: bool) -> None:
    """Eight workers take items of one kind off a queue: as much alike as a loop's, and new to this agent."""
    random, echo = Random(seed), Echo()
    memory, most = echo.begin(), 0.0
    for usual in honest(START_S, 20, seed):
        memory, _ = echo.step(memory, scene(usual, gap_s=120.0))
    for n in range(200):
        size = int(9000 * random.lognormvariate(0, 0.03))
        done_s = START_S + 21 * HOUR_S + 1.0 * n
        each = call(done_s, input_tokens=size, output_tokens=400, latency_s=latency_s)
        memory, score = echo.step(memory, scene(each, gap_s=1.0, hour_calls=n))
        most = max(most, score.value)

    assert (most >= 1.0) is is_a_loop


def test_loop_and_echo_together_say_more_than_the_stronger_and_less_than_two_marks_of_different_kinds() -> None:
    said = Score(0.9, "nine tenths of the bar")
    alone = weigh({"echo": said}, 1.5, 1.0).value

    assert (
        alone
        < weigh({"loop": said, "echo": said}, 1.5, 1.0).value
        < weigh({"loop": said, "price": said}, 1.5, 1.0).value
    )


@given(st.lists(st.integers(0, 3), max_size=400), st.integers(1, 50))
def test_shares_of_all_kinds_sum_to_one_and_survive_the_way_through_bytes(kinds: list[int], count_max: int) -> None:
    shares, usual = Shares(4), floats(0.1, 0.2, 0.3, 0.4)
    for kind in kinds:
        shares.count(kind, count_max)

    assert sum(shares.share(kind, usual, 10.0) for kind in range(4)) == pytest.approx(1.0)
    assert max(int(count) for count in shares.counts) <= count_max
    assert unpack(Shares(4), pack(shares)) == shares


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_a_bar_is_never_lower_where_there_are_more_calls_and_waiting_never_speaks_for_a_loop(
    a: float, b: float
) -> None:
    bars = [bar_at_rate(20.0, 6.0, 10.0, calls) for calls in sorted((a, b))]

    assert 10.0 <= bars[0] <= bars[1] <= 20.0
    assert -0.6 <= waiting_nats(a, b) <= 0.0
