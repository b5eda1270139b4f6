"""How unlike its own past a number is, and how rare that much unlikeness has been."""

from bisect import bisect_left
from math import frexp, inf, log, log10

from msgspec import Struct, field

BINS = 512
BINS_PER_OCTAVE = 4
SURPRISE_MAX = 12.0


class Rarity(Struct):
    """Every distance seen so far, as counts on a logarithmic scale, and the largest of them in rising order."""

    seen: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * BINS)
    largest: list[float] = field(default_factory=list)


class Novelty(Struct):
    """The different values seen so far in rising order, and the newest, which are held back from them."""

    known: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    rarity: Rarity = field(default_factory=Rarity)


def nearest(known: list[float], value: float) -> float:
    """Return the distance from `value` to the nearest of `known`, 0.0 if nothing is known."""
    if not known:
        return 0.0
    place = bisect_left(known, value)
    above = known[place] - value if place < len(known) else inf
    below = value - known[place - 1] if place else inf
    return min(above, below)


def remember(known: list[float], value: float, capacity: int) -> None:
    """Add `value`; past `capacity` thin out where values lie densest, so that the sparse range is kept."""
    place = bisect_left(known, value)
    if place < len(known) and known[place] == value:
        return
    known.insert(place, value)
    if len(known) <= capacity:
        return
    spans = [after - before for before, after in zip(known, known[2:], strict=False)]
    dense = sorted(spans)[len(spans) // 2]
    known[1:-1] = [
        inner for index, (inner, span) in enumerate(zip(known[1:-1], spans, strict=True)) if index % 2 or span > dense
    ]


def surprise(rarity: Rarity, distance: float, tail_count: int, steepness: float) -> float:
    """Return -log10 of the share of past distances as large as `distance`, then learn it.

    Beyond the `tail_count` largest the share follows a Pareto tail fitted to them (Hill), whose exponent is
    multiplied by `steepness`.
    """
    largest = rarity.largest
    if len(largest) == tail_count and distance > largest[0] > 0.0:
        least = log(largest[0])  # A quotient of distances may be too large for a float, their logarithms never are.
        mean_log_excess = sum(log(each) - least for each in largest) / tail_count
        exponent = steepness / max(mean_log_excess, 0.02)
        value = log10((rarity.seen + 1) / tail_count) + exponent * (log(distance) - least) / log(10.0)
    else:
        value = log10((rarity.seen + 1) / (1 + sum(rarity.counts[_bin(distance) :])))
    _learn(rarity, distance, tail_count)
    return min(value, SURPRISE_MAX)


def _learn(rarity: Rarity, distance: float, tail_count: int) -> None:
    rarity.seen += 1
    rarity.counts[_bin(distance)] += 1
    largest = rarity.largest
    if len(largest) == tail_count:
        if distance <= largest[0]:
            return
        del largest[0]
    largest.insert(bisect_left(largest, distance), distance)


def _bin(distance: float) -> int:
    mantissa, exponent = frexp(distance)
    octave = exponent + 2.0 * mantissa - 2.0
    return 0 if distance <= 0.0 else min(BINS - 1, max(1, int(BINS // 2 + BINS_PER_OCTAVE * octave)))
