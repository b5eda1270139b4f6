"""New settings between two batches: what is known stays, and they count from the next batch on."""

from typing import Any

from feeding import T0_S, batch, engine, event

from alerts.policy import RuleBook, Rules
from detectors.ceiling import Ceiling
from detectors.judge import Judge, JudgeParameters
from streams.engine import Engine
from streams.prices import Prices, UnitPrice

SHADOW, ARMED = RuleBook.same(Rules(shadow=True)), RuleBook.same(Rules(shadow=False))


def loop(first: int, calls: int = 200) -> list[dict[str, Any]]:
    """Calls of one run that go round and round."""
    return [event(n, T0_S + 0.4 * n, run_id="loop", step=n, input_tokens=90_000) for n in range(first, first + calls)]


def actions(job: Engine, first: int, calls: int = 200) -> list[tuple[str, bool]]:
    decisions = job.feed(batch(loop(first, calls), first=first)).decisions
    return [(str(d.action), d.shadow) for d in decisions if d.action == "kill"]


def test_the_same_settings_again_change_no_decision_and_no_row() -> None:
    whole, part = engine(), engine()
    expected = [d for first in (0, 200) for d in whole.feed(batch(loop(first), first=first)).decisions]

    found = part.feed(batch(loop(0), first=0)).decisions
    part.reconfigure(ARMED, Judge(JudgeParameters()), Prices())
    found += part.feed(batch(loop(200), first=200)).decisions

    assert found == expected
    assert part.rows.agents == whole.rows.agents
    assert part.rows.judge.agents == whole.rows.judge.agents


def test_a_runaway_that_shadow_mode_only_spoke_of_is_stopped_once_armed() -> None:
    job = engine(rules=Rules(shadow=True))
    assert actions(job, 0) == [("kill", True)]

    job.reconfigure(ARMED, Judge(JudgeParameters()), Prices())

    assert actions(job, 200) == [("kill", False)]


def test_also_when_it_is_armed_by_a_restart() -> None:
    before, after = engine(rules=Rules(shadow=True)), engine()
    effects = before.feed(batch(loop(0), first=0))

    after.restore([(key, value) for key, value in effects.rows.items() if value is not None])

    assert actions(after, 200) == [("kill", False)]


def test_what_shadow_mode_spoke_of_is_not_said_again_by_another_reload() -> None:
    job = engine(rules=Rules(shadow=True))
    assert actions(job, 0) == [("kill", True)]

    job.reconfigure(SHADOW, Judge(JudgeParameters()), Prices())

    assert actions(job, 200) == []


def test_a_new_limit_counts_from_the_next_batch_on() -> None:
    job = engine()
    assert job.feed(batch([event(n) for n in range(3)])).decisions == []

    job.reconfigure(ARMED, Judge(JudgeParameters(agent_ceiling=Ceiling(tokens_per_hour=1_500))), Prices())
    decisions = job.feed(batch([event(n) for n in range(3, 6)], first=3)).decisions

    assert [(str(d.action), d.detector) for d in decisions] == [("kill", "ceiling")]


def test_a_new_price_counts_from_the_next_batch_on() -> None:
    job = engine()
    job.feed(batch([event(0)]))
    before = job.rows.agents["agent-1"].ledger.minutes[int(T0_S)].micro_usd

    job.reconfigure(ARMED, Judge(JudgeParameters()), Prices({"gpt-4o": UnitPrice(100.0, 100.0, 100.0, 100.0)}))
    job.feed(batch([event(1)], first=1))

    assert job.rows.agents["agent-1"].ledger.minutes[int(T0_S)].micro_usd - before == 110_000
