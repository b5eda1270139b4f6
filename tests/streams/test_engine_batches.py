"""The same records give the same effects, however they are cut and however often they are read again."""

import random
from itertools import pairwise
from typing import Any

from feeding import T0_S, batch, engine, event
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import Engine
from streams.records import RecordBatch


def fleet(seed: int, calls: int = 600) -> list[dict[str, Any]]:
    """Three calm agents and one that loops at the end, with repeats and late calls."""
    dice = random.Random(seed)
    events, now_s = [], T0_S
    for number in range(calls):
        now_s += dice.expovariate(1 / 120)
        agent = f"agent-{dice.randrange(3)}"
        events.append(event(number, round(now_s, 3), agent=agent, input_tokens=dice.randrange(500, 2000)))
    for number in range(calls, calls + 200):
        now_s += 0.4
        events.append(event(number, round(now_s, 3), agent="agent-0", run_id="loop", step=number, input_tokens=90_000))
    events += [dict(events[5]), dict(events[6])]
    return events


def cut(records: RecordBatch, places: list[int]) -> list[RecordBatch]:
    edges = [0, *sorted({p % len(records) for p in places} - {0}), len(records)]
    return [
        RecordBatch(records.topic, 0, records.offsets[a:b], records.timestamps_ms[a:b], records.values[a:b])
        for a, b in pairwise(edges)
    ]


def run(job: Engine, parts: list[RecordBatch]) -> list[Any]:
    return [d for part in parts for d in job.feed(part).decisions]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=30), st.integers(0, 5))
def test_batch_boundaries_change_no_decision_and_no_row(places: list[int], seed: int) -> None:
    records = batch(fleet(seed))
    whole, parts = engine(), engine()

    expected = run(whole, [records])

    assert run(parts, cut(records, places)) == expected
    assert parts.rows.agents == whole.rows.agents
    assert parts.rows.standings == whole.rows.standings


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 790), st.integers(0, 200), st.integers(0, 5))
def test_a_restart_with_records_read_again_counts_and_decides_nothing_twice(place: int, back: int, seed: int) -> None:
    records = batch(fleet(seed))
    whole = engine()
    expected = run(whole, [records])

    first, _ = cut(records, [place, place])
    before = engine()
    effects = before.feed(first)
    after = engine()
    after.restore([(key, value) for key, value in effects.rows.items() if value is not None])
    after.remember(first)
    again = cut(records, [max(1, place - back)])[-1]

    assert effects.decisions + run(after, [again]) == expected
    assert after.rows.agents == whole.rows.agents


def test_a_looping_agent_is_killed_once() -> None:
    decisions = run(engine(), [batch(fleet(1))])

    assert [d.scope for d in decisions if d.action == "kill"] in (["agent:agent-0"], ["run:loop"])
