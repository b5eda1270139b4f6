"""What unusable records cost: events a second of one worker as a tenth, then most, of its input can't be used."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from detectors.judge import compiled
from streams.bench.broker import kafka
from streams.bench.load import lines
from streams.bench.parts import Place, place, watched
from streams.produce import produce, records
from streams.topology import prepare_topics

AGENTS, PER_S = 1_000, 500.0
CORE = 0
SHARES = {"clean": 0.0, "tenth": 0.1, "mostly": 0.9}
RUBBISH = (
    b"not JSON",
    b'{"event_id": "cut off',
    b'{"event_id": "x", "agent": "a-1", "model": "gpt-4o", "input_tokens": -1, "output_tokens": 1, "ts": 1.0}',
    b'{"event_id": "x", "ts": 1.0, "agent": "", "model": "gpt-4o", "input_tokens": 1, "output_tokens": 1}',
    b"[" * 5_000,
    b'{"prompt": "' + b"secret " * 700 + b'"}',
)


def garbage(address: str | None = None, events: int = 200_000) -> dict[str, Any]:
    """Measure the same number of records three times, on topics that were filled before.

    The ratios are of records a second, to those of clean input: above 1 is faster.
    """
    found: dict[str, Any] = {"events": events, "compiled": compiled()}
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        for name, share in SHARES.items():
            sys.stderr.write(f"{name}: {share:.0%} unusable\n")
            where = place(bootstrap, Path(folder) / name)
            found[f"{name}_events_per_s"] = round(asyncio.run(_measure(where, events, share)))
    for name in ("tenth", "mostly"):
        found[f"ratio_{name}"] = round(found[f"{name}_events_per_s"] / found["clean_events_per_s"], 2)
    return found


def mixed(good: Iterable[bytes], share: float) -> Iterator[bytes]:
    """Yield lines of which this share is rubbish of all kinds, evenly spread, in place of good ones.

    >>> [line == b"ok" for line in mixed([b"ok"] * 4, 0.5)]
    [True, False, True, False]
    """
    rubbish, due = cycle(RUBBISH), 0.0
    for line in good:
        due += share
        if due >= 1.0 - 1e-9:
            due -= 1.0
            yield next(rubbish)
        else:
            yield line


async def _measure(where: Place, events: int, share: float) -> float:
    topics = {"prefix": where.prefix, "partitions": 4, "replication": 1, "timestamp_type": "create"}
    settings = where.settings(topics=topics)
    await prepare_topics(settings)
    good = lines(events, AGENTS, time.time() - events / PER_S, PER_S)
    await produce(records(mixed(good, share)), where.client, where.topic("events"))
    figures = await watched(where, settings, events, CORE)
    return figures["events"] / figures["wall_s"]
