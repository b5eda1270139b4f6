"""More agents than there is room for: counted in one bucket, never judged or killed, told by an alert."""

import json
from pathlib import Path

import pytest
from feeding import engine

from alerts.policy import RuleBook, Rules
from detectors.judge import Judge
from streams.effects import Effects
from streams.engine import Engine, EngineSettings
from streams.metrics import Metrics
from streams.noting import note_effects
from streams.outlet import Outlet
from streams.prices import Prices
from streams.records import RecordBatch
from streams.shards import Shards

ROOM, START_S = 50, 1_772_409_600.0
ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"


def calls(agents: range, each: int) -> RecordBatch:
    values, times = [], []
    for number in range(each):
        for agent in agents:
            at_s = START_S + number
            event = {"event_id": f"{agent}-{number}", "ts": at_s, "agent": f"made-up-{agent}", "run_id": f"r-{agent}"}
            event |= {"model": "gpt-4o", "input_tokens": 90_000, "output_tokens": 9_000}
            values.append(json.dumps(event).encode())
            times.append(round(at_s * 1000))
    return RecordBatch("events", 0, range(len(values)), times, values)


def test_agents_beyond_the_cap_are_counted_in_one_bucket_and_left_alone() -> None:
    engine = Engine(EngineSettings(rules=RuleBook.same(Rules()), agents_max=ROOM), Judge(), Prices())
    metrics = Metrics()

    effects = engine.feed(calls(range(200), each=30))
    note_effects(metrics, [effects])

    assert len(engine.rows.agents) == ROOM
    assert engine.rows.overflow.ledger.hour_total(round(START_S)).calls == effects.overflows == 150 * 30
    assert effects.counts.accepted == 200 * 30
    assert {d.scope for d in effects.decisions} <= {f"{kind}-{n}" for kind in KINDS for n in range(ROOM)}
    assert b"brakeline_agents_overflow_total 4500.0" in metrics.render()[0]
    assert "brakeline_agents_overflow_total" in ALERTS.read_text()


def test_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    shards, effects = Shards(engine, {}, Outlet({}), Metrics(), {}, {}, 1), Effects()
    shards._tell_overflow(effects)
    effects.overflows = 7

    shards._tell_overflow(effects)
    shards._tell_overflow(effects)

    assert [record.message.partition(":")[0] for record in caplog.records] == ["More agents than service.agents_max"]


KINDS = ("agent:made-up", "run:r")
