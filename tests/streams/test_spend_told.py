"""A decision says what its scope has spent until then, and since when."""

from typing import Any

import pytest
from feeding import T0_S, batch, event

from alerts.decision import Action, Decision
from alerts.policy import RuleBook, Rules
from detectors.ceiling import Ceiling, RunCeiling
from detectors.judge import Judge, JudgeParameters
from streams.engine import Engine, EngineSettings
from streams.prices import Prices

CALL_USD = (1_000 * 2.5 + 100 * 10.0) / 1e6
"""Of gpt-4o, by the built-in list."""


def killed(count: int, limits: dict[str, Any], **fields: Any) -> Decision:
    """Feed calls a second apart until something is killed."""
    rules = RuleBook.same(Rules(shadow=False))
    job = Engine(EngineSettings(rules=rules), Judge(JudgeParameters(**limits)), Prices())
    effects = job.feed(batch([event(n, T0_S + n, step=n + 1, **fields) for n in range(count)]))
    return next(decision for decision in effects.decisions if decision.action is Action.KILL)


def test_of_a_run_all_since_it_began() -> None:
    made = killed(200, {"run_ceiling": RunCeiling(steps=150)}, run_id="r")

    assert made.scope == "run:r"
    assert made.evidence.spend_usd == pytest.approx(CALL_USD * (made.at_s - T0_S + 1), rel=0.02)
    assert T0_S - 1 <= made.evidence.since_s <= T0_S


def test_of_an_agent_what_its_window_knows() -> None:
    made = killed(40, {"agent_ceiling": Ceiling(tokens_per_hour=11_000)})

    assert made.scope == "agent:agent-1"
    assert made.evidence.spend_usd == pytest.approx(CALL_USD * (made.at_s - T0_S + 1), rel=0.02)
    assert made.evidence.since_s == T0_S // 60 * 60
