"""A scope that was let go has a part of its limits, counted from then on; a restart forgets nothing of it."""

from typing import Any

import pytest
from feeding import T0_S, batch, engine, event

from alerts.decision import Action, Decision
from alerts.policy import RuleBook, Rules
from detectors.ceiling import Ceiling, RunCeiling
from detectors.judge import Judge, JudgeParameters
from streams.effects import WindowUsage
from streams.engine import Engine, EngineSettings
from streams.prices import Prices
from streams.teams import Teams
from streams.windows import Usage

ARMED = Rules(shadow=False)


def limited(**limits: Any) -> Engine:
    judge = Judge(JudgeParameters(**limits))
    return Engine(EngineSettings(rules=RuleBook.same(ARMED)), judge, Prices())


class Stream:
    """Calls of one agent, a second apart, of 1,100 tokens each."""

    def __init__(self, job: Engine, **fields: Any) -> None:
        self.job, self.fields, self.number = job, fields, 0
        self.rows: dict[bytes, bytes] = {}

    def calls(self, count: int) -> list[Decision]:
        numbers = range(self.number, self.number + count)
        events = [event(n, T0_S + n, **self.fields, step=n + 1) for n in numbers]
        effects = self.job.feed(batch(events, first=self.number))
        self.number += count
        self.rows |= {key: value for key, value in effects.rows.items() if value is not None}
        return [d for d in effects.decisions if d.action is Action.KILL]

    def release(self, scope: str, *, planned: bool = False) -> None:
        self.job.sentence.control(scope, Action.RELEASE, T0_S + self.number, None, planned=planned)


def test_an_agent_has_a_tenth_of_its_limit_counted_from_its_release() -> None:
    stream = Stream(limited(agent_ceiling=Ceiling(tokens_per_hour=11_000)))
    assert [d.scope for d in stream.calls(11)] == ["agent:agent-1"]

    stream.release("agent:agent-1")

    assert stream.calls(1) == []
    (again,) = stream.calls(1)
    assert again.detector == "ceiling"
    assert "over the ceiling of 1,100" in again.reason
    assert "on probation it has 10% of its limits" in again.reason
    assert again.expires_s == again.at_s + 7_200


def test_a_run_that_was_let_go_has_a_tenth_of_its_steps_again() -> None:
    stream = Stream(limited(run_ceiling=RunCeiling(steps=30)), run_id="r")
    assert [d.scope for d in stream.calls(31)] == ["run:r"]

    stream.release("run:r")

    assert stream.calls(3) == []
    assert [d.detector for d in stream.calls(1)] == ["run_ceiling"]


def test_what_was_planned_has_all_of_its_limit_again() -> None:
    stream = Stream(limited(agent_ceiling=Ceiling(tokens_per_hour=11_000)))
    assert stream.calls(11)

    stream.release("agent:agent-1", planned=True)

    assert stream.calls(10) == []
    assert len(stream.calls(1)) == 1


@pytest.mark.parametrize("after_calls", [0, 1])
def test_a_restart_forgets_neither_the_probation_nor_what_was_used(after_calls: int) -> None:
    stream = Stream(limited(agent_ceiling=Ceiling(tokens_per_hour=33_000)))
    assert stream.calls(31)
    stream.release("agent:agent-1")
    stream.calls(2)

    stream.job = limited(agent_ceiling=Ceiling(tokens_per_hour=33_000))
    stream.job.restore(stream.rows.items())

    assert stream.calls(after_calls) == []
    assert len(stream.calls(2 - after_calls)) == 1


def minutes(stage: Teams, first: int, count: int) -> list[Decision]:
    found = []
    for number in range(first, first + count):
        usage = WindowUsage("a", 60 * number, 60, Usage(10, 10_000, 1_000_000))
        found += stage.feed("shard", {"t": [usage]}, 60.0 * number + 60)
    return [d for d in found if d.action is Action.KILL]


def test_a_team_has_a_tenth_of_its_limit_after_a_release() -> None:
    judge = Judge(JudgeParameters(team_ceiling=Ceiling(usd_per_day=20.0)))
    stage = Teams(RuleBook.same(ARMED), judge, 1, 300.0)
    (killed,) = minutes(stage, 0, 21)
    assert killed.scope == "team:t"

    stage.control("t", Action.RELEASE, killed.at_s + 60, None, planned=False)

    assert minutes(stage, 22, 2) == []
    (again,) = minutes(stage, 24, 1)
    assert "over the ceiling of $2.00" in again.reason


def test_an_engine_without_limits_lets_it_go_on() -> None:
    stream = Stream(engine())
    stream.job.sentence.control("agent:agent-1", Action.KILL, T0_S, None)
    stream.release("agent:agent-1")

    assert stream.calls(5) == []
