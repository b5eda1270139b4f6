"""Nothing that runs away teaches a detector that running away is usual."""

from calls import DAY_S, HOUR_S, START_S, call, honest, kills, sittings

from detectors.judge import Judge, JudgeParameters, JudgeState
from detectors.surge import Surge

QUIET = JudgeParameters(loop=None, tempo=None, stall=None, errors=None)


def surge_means(hourly_calls: list[int]) -> list[float]:
    """Return the mean log peak of a minute's spend after each hour of `hourly_calls`."""
    judge, state, means = Judge(QUIET), JudgeState(), []
    for hour, calls in enumerate(hourly_calls):
        for n in range(calls):
            judge.step(state, call(START_S + HOUR_S * (hour + n / calls)))
        memory = state.agents["a"].surge
        assert memory is not None
        means.append(memory.means[3])
    return means


def test_a_plateau_of_two_hours_moves_the_usual_by_little() -> None:
    means = surge_means([30] * 72 + [3000] * 2 + [30] * 2)

    assert means[-1] - means[70] < 0.1


def test_a_slow_ramp_of_a_day_does_not_hide_a_surge() -> None:
    means = surge_means([30] * 72 + [int(30 * 1.08**h) for h in range(48)])

    assert means[-1] - means[70] < 1.0, "the ramp went up by 3.7"


def test_a_loop_is_killed_as_fast_after_a_plateau_of_twice_the_traffic() -> None:
    usual = list(honest(START_S, 80))
    plateau = list(honest(START_S + 72 * HOUR_S, 2, seed=9, per_hour=60))
    onset_s = START_S + 78 * HOUR_S
    loop = [call(onset_s + 3 * n, run="x", step=n, input_tokens=9000, output_tokens=150) for n in range(40)]

    before = kills(sittings(Judge(), JudgeState(), [*usual, *loop]))[0][0]
    after = kills(sittings(Judge(), JudgeState(), [*usual, *plateau, *loop]))[0][0]

    assert after - before < 15


def test_a_killed_period_does_not_teach() -> None:
    calls = list(honest(START_S, 60))
    judge, state, twin = Judge(), JudgeState(), JudgeState()
    sittings(judge, state, calls)
    sittings(judge, twin, calls)
    for each in (state, twin):
        judge.killed(each, "agent:a", calls[-1].now_s, None)
    for n in range(500):
        judge.step(twin, call(START_S + 2.5 * DAY_S + n, input_tokens=50_000))

    assert state.agents["a"].tempo == twin.agents["a"].tempo
    assert state.agents["a"].drift == twin.agents["a"].drift
    assert state.agents["a"].calls == twin.agents["a"].calls


def test_a_surge_learns_an_hour_clipped() -> None:
    calm, wild = surge_means([30] * 50), surge_means([30] * 49 + [30_000])

    assert wild[-1] - calm[-1] < 2 * Surge().learn_sigmas * Surge().prior_sd / 40
