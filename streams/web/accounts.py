"""Spend by who pays, over an hour, a day or a week, from all shards."""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, structs

from streams.attribution import Payer
from streams.pulse import SpendHour
from streams.windows import HOUR_S, HOURS_KEPT, Usage

Dimension = Literal["team", "product", "cost_center", "use_case", "model", "environment"]
Span = Literal["hour", "day", "week"]

DIMENSIONS: Mapping[Dimension, str] = {
    "team": "Team",
    "product": "Product",
    "cost_center": "Cost centre",
    "use_case": "Use case",
    "model": "Model",
    "environment": "Environment",
}
HOURS: Mapping[Span, int] = {"hour": 1, "day": 24, "week": 168}
BARS: Mapping[Span, int] = {"hour": 1, "day": 24, "week": 7}
KEPT_H = 170
GROWS_H = HOURS_KEPT + 2
"""Younger hours may still grow, and are known by shard and payer; of older ones only the sums are kept."""

Counters = tuple[int, int, int]
"""Calls, tokens, micro-dollars."""


class Line(Struct, frozen=True):
    """One name's share; an empty name is what no event attributed."""

    name: str
    calls: int
    tokens: int
    spend_usd: float
    share: float
    bars: tuple[float, ...] = ()


class Statement(Struct, frozen=True):
    """What was spent over a span, dearest first, the unattributed last."""

    lines: tuple[Line, ...]
    spend_usd: float
    calls: int
    from_s: int


class Accounts:
    """What was used in each hour of the last week, by each dimension."""

    def __init__(self) -> None:
        self._sums: dict[int, dict[Dimension, dict[str, Usage]]] = {}
        self._known: dict[int, dict[tuple[str, Payer], Counters]] = {}
        self._closed_s = 0

    def take(self, told: SpendHour) -> None:
        """Take in what a shard tells of an hour; counters only grow, so repeats and disorder change nothing."""
        if told.hour_s < self._closed_s:
            return
        known = self._known.setdefault(told.hour_s, {})
        sums = self._sums.setdefault(told.hour_s, {by: {} for by in DIMENSIONS})
        for payer, usage in told.usage:
            before = known.get((told.shard, payer), (0, 0, 0))
            now = (
                max(before[0], usage.calls), max(before[1], usage.tokens), max(before[2], usage.micro_usd),
            )  # fmt: skip
            if now == before:
                continue
            known[told.shard, payer] = now
            more = Usage(now[0] - before[0], now[1] - before[1], now[2] - before[2])
            for by, table in sums.items():
                table.setdefault(getattr(payer, by), Usage()).plus(more)

    def forget(self, now_s: float) -> None:
        """Drop what is older than a week, and the particulars of hours that can't change any more."""
        self._closed_s = max(self._closed_s, int(now_s) // HOUR_S * HOUR_S - GROWS_H * HOUR_S)
        for hour_s in [h for h in self._known if h < self._closed_s]:
            del self._known[hour_s]
        for hour_s in [h for h in self._sums if h < now_s - KEPT_H * HOUR_S]:
            del self._sums[hour_s]

    def statement(self, by: Dimension, span: Span, now_s: float, lines_max: int = 50) -> Statement:
        """Return who spent how much since the full hour that the span begins with."""
        first_s = int(now_s) // HOUR_S * HOUR_S - (HOURS[span] - 1) * HOUR_S
        width_s = HOURS[span] * HOUR_S // BARS[span]
        totals: dict[str, Usage] = {}
        bars: dict[str, list[float]] = {}
        for hour_s, sums in self._sums.items():
            slot = (hour_s - first_s) // width_s
            if 0 <= slot < BARS[span]:
                for name, usage in sums[by].items():
                    totals.setdefault(name, Usage()).plus(usage)
                    bars.setdefault(name, [0.0] * BARS[span])[slot] += usage.micro_usd / 1e6
        whole = Usage()
        for usage in totals.values():
            whole.plus(usage)
        lines = tuple(_lines(totals, bars, whole, lines_max))
        return Statement(lines, whole.micro_usd / 1e6, whole.calls, first_s)


def _lines(
    totals: Mapping[str, Usage], bars: Mapping[str, list[float]], whole: Usage, lines_max: int
) -> Iterator[Line]:
    def line(name: str, usage: Usage) -> Line:
        share = usage.micro_usd / whole.micro_usd if whole.micro_usd else 0.0
        shown = tuple(bars.get(name, ()))
        return Line(name, usage.calls, usage.tokens, usage.micro_usd / 1e6, share, shown)

    ranked = sorted(((n, u) for n, u in totals.items() if n), key=lambda item: (-item[1].micro_usd, item[0]))
    for name, usage in ranked[:lines_max]:
        yield line(name, usage)
    if more := ranked[lines_max:]:
        rest = Usage()
        for _, usage in more:
            rest.plus(usage)
        yield structs.replace(line("", rest), name=f"{len(more)} more", bars=())
    if "" in totals:
        yield line("", totals[""])
