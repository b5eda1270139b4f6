"""Events to measure with: a calm fleet of a given size, the same each time."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

TEAMS = 20
_MODELS = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-4o", "claude-sonnet-4-5")


def event(number: int, at_s: float, agent: str, **fields: Any) -> dict[str, Any]:
    """Return a valid event; `fields` replace or add."""
    return {
        "event_id": f"bench-{number:012d}",
        "ts": round(at_s, 3),
        "agent": agent,
        "team": f"team-{hash_of(agent) % TEAMS}",
        "model": _MODELS[hash_of(agent) % len(_MODELS)],
        "input_tokens": 900,
        "output_tokens": 120,
        "cached_tokens": 300,
        "run_id": f"r-{number}",
        "step": 0,
        "status": "ok",
        "latency_ms": 850,
        **fields,
    }


def hash_of(name: str) -> int:
    """Return a number that is the same in every process."""
    return sum(name.encode()) * 31 + len(name)


def calm(agents: int, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield agents and the fields in which their calls differ, for ever: short runs whose input grows step by step."""
    rng, left, runs = Random(seed), [0] * agents, [0] * agents
    sizes = [0] * agents
    while True:
        i = rng.randrange(agents)
        if left[i] == 0:
            left[i], sizes[i] = rng.randint(1, 6), round(rng.lognormvariate(6.5, 0.6))
            runs[i] += 1
        output = round(rng.lognormvariate(4.5, 0.7)) + 1
        fields = {"run_id": f"r-{i}-{runs[i]}", "step": 6 - left[i], "input_tokens": sizes[i], "output_tokens": output}
        fields |= {"cached_tokens": sizes[i] // 3, "prompt_hash": f"{rng.getrandbits(48):012x}"}
        yield f"agent-{i}", fields
        sizes[i] += output + round(rng.lognormvariate(5.0, 0.8))
        left[i] -= 1


def lines(events: int, agents: int, start_s: float, per_s: float) -> Iterator[bytes]:
    """Yield `events` events of a calm fleet as JSON lines, `per_s` a second from `start_s` on."""
    encode = msgspec.json.encode
    for number, (agent, fields) in zip(range(events), calm(agents), strict=False):
        yield encode(event(number, start_s + number / per_s, agent, **fields))
