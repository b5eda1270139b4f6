"""A limit holds for what its glob names, and for nobody else."""

from calls import START_S, call

from detectors.ceiling import Ceiling, RunCeiling
from detectors.judge import Judge, JudgeParameters, JudgeState
from detectors.limits import Limit, LimitBook


def killed(limit: Limit, **fields: str) -> list[str]:
    judge, state = Judge(JudgeParameters(limits=(limit,))), JudgeState()
    return [v.scope for n in range(3) for v in judge.step(state, call(START_S + n, **fields)) if v.sure]


def test_a_limit_of_some_agents_stops_no_other() -> None:
    limit = Limit("agent:batch-*", Ceiling(tokens_per_hour=10))

    assert killed(limit, agent="batch-1")[0] == "agent:batch-1"
    assert killed(limit, agent="coder-1") == []


def test_a_limit_on_the_runs_of_a_team_stops_the_run() -> None:
    limit = Limit("team:research", run=RunCeiling(tokens=10))

    assert killed(limit, team="research", run="r1")[0] == "run:r1"
    assert killed(limit, team="other", run="r1") == []


def test_of_several_limits_the_tightest_holds() -> None:
    wide, narrow = Limit("agent:*", Ceiling(usd_per_hour=50.0)), Limit("agent:a*", Ceiling(usd_per_hour=5.0))

    book = LimitBook((wide, narrow), RunCeiling())

    assert book.of("agent:abc", Ceiling()).usd_per_hour == 5.0
    assert book.of("agent:xyz", Ceiling(usd_per_hour=70.0)).usd_per_hour == 50.0
