"""Figures out of samples."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample that `share` of all don't exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(samples)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def spread(samples_s: Sequence[float]) -> dict[str, float]:
    """Return number, median, 99th percentile and maximum of times in seconds, as milliseconds.

    >>> spread([0.001, 0.003])
    {'n': 2, 'p50_ms': 1.0, 'p99_ms': 3.0, 'max_ms': 3.0}
    """
    figures: dict[str, float] = {"n": len(samples_s)}
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)):
        figures[name] = round(percentile(samples_s, share) * 1000, 2)
    return figures


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures to standard output, as one JSON line or for people."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    else:
        for name, value in figures.items():
            sys.stdout.write(f"{name:<32}{value}\n")


def rss_mb() -> float:
    """Return the memory that this process holds, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20
