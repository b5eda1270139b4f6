"""From calls to the events that a broker gets: ids, delays, late and repeated ones, wrong clocks."""

import heapq
from collections.abc import Iterator, Mapping
from itertools import count
from random import Random
from typing import Any

from msgspec import Struct

from streams.simulate.calls import Call

LATE_SHARE = 0.005
TWICE_SHARE = 0.001


class Labelled(Struct, frozen=True):
    """An event as it would be produced, with the truth about it beside."""

    event: dict[str, Any]
    episode: str


def delivered(calls: Iterator[Call], seed: int, skew_s: Mapping[str, float]) -> Iterator[Labelled]:
    """Yield events in ingest order: most within two seconds, few late by minutes, very few twice.

    `skew_s` is how wrong the clock is that stamps an agent's events.
    """
    rng = Random(f"{seed}/delivery")
    heap: list[tuple[float, int, Labelled]] = []
    tie = count()
    for call in calls:
        # Nothing is ingested before its time, so what is due by now can't be overtaken any more.
        while heap and heap[0][0] <= call.at_s:
            yield heapq.heappop(heap)[2]
        event = _event(call, f"e-{rng.getrandbits(64):016x}", skew_s.get(call.agent, 0.0))
        ingest_s = call.at_s + _delay_s(rng)
        for _ in range(2 if rng.random() < TWICE_SHARE else 1):
            labelled = Labelled({**event, "ingest_ts": round(ingest_s, 3)}, call.episode)
            heapq.heappush(heap, (ingest_s, next(tie), labelled))
            ingest_s += rng.uniform(0.1, 30.0)
    while heap:
        yield heapq.heappop(heap)[2]


def _delay_s(rng: Random) -> float:
    if rng.random() < LATE_SHARE:
        return min(900.0, rng.expovariate(1 / 120.0))
    return rng.uniform(0.02, 0.1) + rng.expovariate(4.0)


def _event(call: Call, event_id: str, skew_s: float) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "ts": round(call.at_s + skew_s, 3),
        "agent": call.agent,
        "team": call.team,
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cached_tokens": min(call.cached_tokens, call.input_tokens),
        "run_id": call.run,
        "step": call.step,
        "parent_run_id": call.parent_run or None,
        "status": call.status,
        "latency_ms": call.latency_ms,
        "prompt_hash": call.prompt_hash,
    }
