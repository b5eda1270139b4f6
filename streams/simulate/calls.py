"""A simulated call, and how the calls of many runs become one stream in the order of time."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import count
from math import log
from random import Random

from msgspec import Struct


class Call(Struct, kw_only=True):
    """One finished call; `at_s` is its end in Unix seconds, `episode` names the runaway that it belongs to."""

    at_s: float
    agent: str
    team: str
    model: str
    run: str
    step: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    parent_run: str = ""
    status: str = "ok"
    latency_ms: int = 0
    prompt_hash: str = ""
    episode: str = ""


Run = Iterator[Call]
Start = tuple[float, Run]
"""When a run begins, and its calls, none of which is earlier."""


def weave(starts: Iterable[Start]) -> Iterator[Call]:
    """Yield the calls of all runs in the order of their time; `starts` must be in order too. Runs are begun lazily."""
    heap: list[tuple[float, int, Call, Run]] = []
    tie = count()

    def push(run: Run) -> None:
        call = next(run, None)
        if call is not None:
            heapq.heappush(heap, (call.at_s, next(tie), call, run))

    def pop() -> Call:
        _, _, call, run = heapq.heappop(heap)
        push(run)
        return call

    for start_s, run in starts:
        while heap and heap[0][0] < start_s:
            yield pop()
        push(run)
    while heap:
        yield pop()


def around(rng: Random, median: float, spread: float = 0.5) -> int:
    """Draw a positive whole number: lognormal, as sizes of texts are."""
    return max(1, round(rng.lognormvariate(log(median), spread)))


def run_name(rng: Random) -> str:
    """Draw the id of a run."""
    return f"r-{rng.getrandbits(48):012x}"


def latency(rng: Random, output_tokens: int) -> int:
    """Draw a latency in milliseconds that grows with the answer."""
    return round(250 + 12 * output_tokens * rng.lognormvariate(0.0, 0.3))
