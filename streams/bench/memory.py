"""Memory of one engine that knows very many agents."""

import gc
from typing import Any

import msgspec

from alerts.policy import RuleBook, Rules
from detectors.judge import Judge, compiled
from streams.bench.figures import rss_mb
from streams.bench.load import event
from streams.engine import Engine, EngineSettings
from streams.garbage import collect_seldom
from streams.prices import Prices
from streams.records import RecordBatch

CALLS_EACH = 3
START_S = 1_767_603_600.0
AT_ONCE = 2_000


def memory(agents: int = 1_000_000) -> dict[str, Any]:
    """Feed three calls of each agent; a few minutes for a million.

    `rss_mb` is all that the process took for it, what is remembered of the events' ids too. `row_bytes` is what is
    written to the changelog for an agent: the engine's row and the judge's.
    """
    collect_seldom()
    engine = Engine(EngineSettings(rules=RuleBook.same(Rules())), Judge(), Prices())
    gc.collect()
    before_mb, encode, offset, row_bytes = rss_mb(), msgspec.json.encode, 0, 0
    for turn in range(CALLS_EACH):
        row_bytes = 0
        for first in range(0, agents, AT_ONCE):
            at_s = START_S + turn * 400.0 + first / agents * 300.0
            values = [encode(_event(turn, number, at_s)) for number in range(first, min(first + AT_ONCE, agents))]
            times = [round(at_s * 1000)] * len(values)
            effects = engine.feed(RecordBatch("bench", 0, range(offset, offset + len(values)), times, values))
            offset += len(values)
            row_bytes += sum(len(row) for row in effects.rows.values() if row is not None)
    gc.collect()
    used_mb = rss_mb() - before_mb
    bytes_per_agent = used_mb * 2**20 / agents
    return {
        "agents": agents,
        "compiled": compiled(),
        "rss_mb": round(used_mb),
        "bytes_per_agent": round(bytes_per_agent),
        "row_bytes": round(row_bytes / agents),
    }


def _event(turn: int, number: int, at_s: float) -> dict[str, Any]:
    return event(turn * 10_000_000 + number, at_s, f"agent-{number}", run_id=f"r-{number}", step=turn)
