"""Calls to judge, and a judge that is told of its own kills, for tests of the detectors."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from detectors.contract import Call, RunTrack, Scene
from detectors.judge import Judge, JudgeState, Verdict

CHEAP, DEAR = 150_000, 2_500_000
START_S = 1_772_409_600.0
HOUR_S, DAY_S = 3600.0, 86_400.0


def call(now_s: float, **changes: Any) -> Call:
    """Return an ordinary call, with changes."""
    fields: dict[str, Any] = {
        "now_s": now_s, "at_s": now_s, "agent": "a", "team": "t", "model": "small", "run": f"r{now_s:.3f}",
        "parent_run": "", "step": 0, "input_tokens": 2000, "output_tokens": 200, "cached_tokens": 0,
        "input_micro_usd_per_mtok": CHEAP, "failed": False, "latency_s": 1.0,
    } | changes  # fmt: skip
    cost = (fields["input_tokens"] + 4 * fields["output_tokens"]) * fields["input_micro_usd_per_mtok"] // 1_000_000
    fields.setdefault("list_micro_usd", cost)
    fields.setdefault("spend_micro_usd", 0 if fields["failed"] else fields["list_micro_usd"])
    return Call(**fields)


def honest(start_s: float, hours: float, seed: int = 1, per_hour: float = 30.0, **changes: Any) -> Iterator[Call]:
    """Yield an honest agent's calls: independent, of all sizes, a little irregular."""
    random = Random(seed)
    now_s = start_s
    while (now_s := now_s + random.expovariate(per_hour / HOUR_S)) < start_s + hours * HOUR_S:
        sizes = {
            "input_tokens": int(random.lognormvariate(7.5, 0.8)) + 20,
            "output_tokens": int(random.lognormvariate(5.3, 0.8)) + 5,
        }
        yield call(now_s, **(sizes | changes))


def session(start_s: float, steps: int, seed: int = 1, **changes: Any) -> Iterator[Call]:
    """Yield an honest coding session: one run whose context grows unevenly, at a person's pace."""
    random = Random(seed)
    now_s, context = start_s, 30_000
    for step in range(steps):
        now_s += random.lognormvariate(2.9, 0.8) + 2.0
        context += int(random.lognormvariate(6.5, 1.1))
        output = int(random.lognormvariate(5.3, 0.9)) + 5
        fields = {"run": f"s{start_s:.0f}", "step": step, "input_tokens": context, "output_tokens": output}
        yield call(now_s, **(fields | changes))


def scene(of: Call, **changes: Any) -> Scene:
    """Return what a detector sees of a call without surroundings."""
    from math import log

    run = changes.pop("run", None) or RunTrack(of.now_s, of.now_s)
    base = Scene(of, run, 1, 0.0, 60.0, log(of.input_tokens + 1), log(of.output_tokens + 1))
    for name, value in changes.items():
        setattr(base, name, value)
    return base


def sittings(judge: Judge, state: JudgeState, calls: Iterable[Call]) -> list[tuple[float, Verdict]]:
    """Judge the calls in order of time; a kill holds for an hour."""
    found = []
    for each in sorted(calls, key=lambda c: c.now_s):
        for verdict in judge.step(state, each):
            found.append((each.now_s, verdict))
            if verdict.value >= 1.0 and not verdict.alert_only:
                judge.killed(state, verdict.scope, each.now_s, each.now_s + HOUR_S)
    return found


def kills(found: list[tuple[float, Verdict]]) -> list[tuple[float, str, str]]:
    """Return when, whom and by which detector was killed."""
    return [(at_s, v.scope, v.detector) for at_s, v in found if v.value >= 1.0 and not v.alert_only]
