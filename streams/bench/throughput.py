"""Events a second of one worker on one core, beside an idiomatic Faust agent and a bare loop over the same topic."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from detectors.judge import compiled
from streams.bench.broker import kafka
from streams.bench.load import lines
from streams.bench.parts import GIVE_UP_S, WATCHED, Figures, place, watched
from streams.demo.stage import StageError
from streams.produce import produce, records
from streams.topology import prepare_topics

AGENTS = 1_000
PER_S = 500.0
CORE = 0
ROUNDS = 5


def throughput(
    address: str | None = None, events: int = 800_000, faust_events: int = 20_000, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Measure all three in turn, several times, on one topic of four partitions that was filled before.

    Each is pinned to the same core; the figures are medians over the rounds, a ratio too: its two sides are of one
    round, since what else the machine does changes within seconds. `..._per_cpu_s` are events a second of processor
    time: what the core yields when nobody else is on it.
    """
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        measured = asyncio.run(_measure(bootstrap, Path(folder), events, faust_events, rounds))
    found: dict[str, Any] = {"events": events, "rounds": rounds, "compiled": compiled()}
    for name, figures in measured.items():
        found[f"{name}_events_per_s"] = round(median(_speeds(figures, "wall_s")))
        found[f"{name}_events_per_cpu_s"] = round(median(_speeds(figures, "cpu_s")))
    for name in ("faust", "bare"):
        found[f"ratio_{name}"] = ratio(measured["service"], measured[name], "wall_s")
        found[f"ratio_{name}_cpu"] = ratio(measured["service"], measured[name], "cpu_s")
    return found


def _speeds(figures: list[Figures], clock: str) -> list[float]:
    return [each["events"] / each[clock] for each in figures]


def ratio(ours: list[Figures], others: list[Figures], clock: str) -> float:
    """Return how much faster ours are by this clock, `wall_s` or `cpu_s`: the median over rounds.

    >>> slow, quick = ({"events": 8.0, "wall_s": seconds} for seconds in (4.0, 1.0))
    >>> ratio([slow, quick, quick], [slow, slow, slow], "wall_s")
    4.0
    """
    rounds = zip(_speeds(ours, clock), _speeds(others, clock), strict=True)
    return round(median(mine / other for mine, other in rounds), 2)


async def _measure(
    bootstrap: str, folder: Path, events: int, faust_events: int, rounds: int
) -> dict[str, list[Figures]]:
    topics = {"partitions": 4, "replication": 1, "timestamp_type": "create"}
    source = place(bootstrap, folder / "source")
    await prepare_topics(source.settings(topics={"prefix": source.prefix, **topics}))
    topic, start_s = source.topic("events"), time.time() - events / PER_S
    await produce(records(lines(events, AGENTS, start_s, PER_S)), source.client, topic)
    found: dict[str, list[Figures]] = {"service": [], "faust": [], "bare": []}
    for number in range(1, rounds + 1):
        sys.stderr.write(f"round {number} of {rounds}\n")
        where = place(bootstrap, folder / str(number))
        settings = where.settings(topics={"prefix": where.prefix, "events": [topic], **topics})
        await prepare_topics(settings)
        faust = ("faust_agent", bootstrap, topic, f"{where.prefix}-faust", str(faust_events), str(CORE))
        found["faust"].append(await _child(*faust))
        found["bare"].append(await _child("bare", bootstrap, topic, str(round(events * WATCHED)), str(CORE)))
        found["service"].append(await watched(where, settings, events, CORE))
    return found


async def _child(module: str, *arguments: str) -> Figures:
    command = [sys.executable, "-m", f"streams.bench.{module}", *arguments]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(GIVE_UP_S):
            out, err = await child.communicate()
    except TimeoutError:
        child.kill()
        raise StageError(f"{module} took longer than {GIVE_UP_S:.0f} s") from None
    if not out.strip():
        raise StageError(f"{module} measured nothing: {err.decode(errors='replace')[-1000:]}")
    figures: Figures = json.loads(out.splitlines()[-1])
    return figures
