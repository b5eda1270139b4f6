"""Events and engines for tests: small, explicit, without a broker."""

from collections.abc import Sequence
from typing import Any

from msgspec import json

from alerts.policy import RuleBook, Rules
from detectors.judge import Judge, JudgeParameters
from streams.engine import Engine, EngineSettings
from streams.prices import Prices
from streams.records import RecordBatch

T0_S = 1_772_409_600.0


def event(number: int, at_s: float = T0_S, **fields: Any) -> dict[str, Any]:
    """Return a valid event; `fields` replace or add, a field of `...` is left out."""
    usual = {
        "event_id": f"e{number}",
        "ts": at_s,
        "agent": "agent-1",
        "team": "team-1",
        "model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 100,
        "run_id": f"run-{number}",
        "status": "ok",
        "latency_ms": 900,
    }
    return {name: value for name, value in {**usual, **fields}.items() if value is not ...}


def batch(values: Sequence[dict[str, Any] | bytes | None], *, first: int = 0, at_s: float | None = None) -> RecordBatch:
    """Return a record batch; a record's time is its event's, or `at_s`."""
    raw = [json.encode(v) if isinstance(v, dict) else v for v in values]
    times = [round(1000 * (at_s if at_s is not None else _time(v))) for v in values]
    return RecordBatch("brakeline.events", 0, range(first, first + len(raw)), times, raw)


def _time(value: dict[str, Any] | bytes | None) -> float:
    return float(value["ts"]) if isinstance(value, dict) else T0_S


def engine(**settings: Any) -> Engine:
    """Return an armed engine with the default judge."""
    rules = RuleBook.same(settings.pop("rules", Rules(shadow=False)))
    return Engine(EngineSettings(rules=rules, **settings), Judge(JudgeParameters()), Prices())
