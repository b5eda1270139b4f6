"""Hard limits: sure, exact, and off unless they are set."""

import pytest
from calls import START_S, call, scene

from detectors.ceiling import Ceiling, RunCeiling
from detectors.contract import RunTrack, TeamMinute
from detectors.judge import Judge, JudgeParameters, JudgeState


def test_nothing_is_limited_unless_it_is_set() -> None:
    assert not Ceiling().active
    assert not RunCeiling().active
    judge, state = Judge(), JudgeState()

    assert list(judge.step(state, call(START_S, input_tokens=10_000_000))) == []


@pytest.mark.parametrize(
    ("limit", "window_s"), [("tokens_per_minute", 60), ("tokens_per_hour", 3600), ("tokens_per_day", 86_400)]
)
def test_the_call_that_passes_a_limit_is_told_and_the_next_window_starts_anew(limit: str, window_s: int) -> None:
    ceiling = Ceiling(**{limit: 5000})
    memory = ceiling.begin()
    values = []
    for at_s in (0, 1, 2, window_s):
        memory, score = ceiling.step(memory, scene(call(START_S + at_s)))
        values.append(score.value)

    assert [v >= 1.0 for v in values] == [False, False, True, False]


def test_dollars_are_those_that_were_billed() -> None:
    ceiling = Ceiling(usd_per_hour=0.001)
    memory, score = ceiling.step(ceiling.begin(), scene(call(START_S, failed=True, input_tokens=10**9)))
    assert score.value == 0.0

    _, score = ceiling.step(memory, scene(call(START_S, input_tokens=10**6)))
    assert "over the ceiling of $0.00" in score.reason


def test_a_ceiling_is_sure_and_kills_whatever_the_budget() -> None:
    parameters = JudgeParameters(agent_ceiling=Ceiling(tokens_per_hour=5000), false_kills_per_1000_agent_days=0.01)
    judge, state = Judge(parameters), JudgeState()
    verdicts = [v for n in range(3) for v in judge.step(state, call(START_S + n))]

    assert [(v.scope, v.detector, v.sure, v.value >= 1.0) for v in verdicts] == [("agent:a", "ceiling", True, True)]


@pytest.mark.parametrize(
    ("limits", "changes"),
    [
        ({"steps": 10}, {"step": 11}),
        ({"input_tokens": 1000}, {}),
        ({"usd": 0.0001}, {}),
        ({"wall_s": 100}, {}),
        ({"depth": 1}, {}),
    ],
)
def test_a_run_past_its_limit_is_blamed_itself(limits: dict[str, float], changes: dict[str, int]) -> None:
    run = RunTrack(START_S - 200, START_S)
    run.calls = 3
    score = RunCeiling(**limits).score(scene(call(START_S, **changes), run=run), 2)

    assert score.value >= 1.0
    assert score.blame == "run"


def test_a_team_is_limited_by_the_sum_of_its_members() -> None:
    judge = Judge(JudgeParameters(team_ceiling=Ceiling(usd_per_hour=1.0)))
    memory, told = None, []
    for minute in range(3):
        members = dict.fromkeys(("a", "b"), (1, 100, 200000))
        start_s = START_S + 60 * minute
        memory, verdicts = judge.team_step(memory, TeamMinute("t", start_s, start_s + 60, members))
        told.append([(v.scope, v.sure) for v in verdicts])

    assert told == [[], [], [("team:t", True)]]
