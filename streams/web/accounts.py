"""Spend by who pays, over an hour, a day or a week, from all shards."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from streams.attribution import Payer
from streams.pulse import SpendHour
from streams.windows import HOUR_S, Usage

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
KEPT_H = 170
EXACT_H = 48
"""Younger hours are kept by shard, since they may still grow; older ones are summed up over the shards."""


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
    unattributed_usd: float
    from_s: int
    more: int = 0
    """Names that are summed up in the line before the unattributed."""


class Accounts:
    """What each payer used in each hour of the last week."""

    def __init__(self) -> None:
        self._hours: dict[int, dict[str, dict[Payer, Usage]]] = {}
        self._payers: dict[Payer, Payer] = {}

    def take(self, told: SpendHour) -> None:
        """Take in what a shard tells of an hour; counters only grow, so repeats and disorder change nothing."""
        table = self._hours.setdefault(told.hour_s, {}).setdefault(told.shard, {})
        for payer, usage in told.usage:
            same = self._payers.setdefault(payer, payer)
            known = table.get(same)
            if known is None:
                table[same] = usage
            else:
                known.merge(usage)

    def forget(self, now_s: float) -> None:
        """Drop what is older than a week, and sum up over the shards what can't change any more."""
        for hour_s in [h for h in self._hours if h < now_s - KEPT_H * HOUR_S]:
            del self._hours[hour_s]
        for hour_s, shards in self._hours.items():
            if hour_s < now_s - EXACT_H * HOUR_S and len(shards) > 1:
                total: dict[Payer, Usage] = {}
                for table in shards.values():
                    for payer, usage in table.items():
                        total.setdefault(payer, Usage()).plus(usage)
                self._hours[hour_s] = {"": total}

    def statement(self, dimension: Dimension, span: Span, now_s: float, lines_max: int = 50) -> Statement:
        """Return who spent how much since the full hour that the span begins with."""
        first_s = int(now_s) // HOUR_S * HOUR_S - (HOURS[span] - 1) * HOUR_S
        totals: dict[str, Usage] = {}
        bars: dict[str, dict[int, int]] = {}
        width_s = HOUR_S if span != "week" else 24 * HOUR_S
        for hour_s, shards in self._hours.items():
            if hour_s < first_s:
                continue
            slot = (hour_s - first_s) // width_s
            for table in shards.values():
                for payer, usage in table.items():
                    name: str = getattr(payer, dimension)
                    totals.setdefault(name, Usage()).plus(usage)
                    slots = bars.setdefault(name, {})
                    slots[slot] = slots.get(slot, 0) + usage.micro_usd
        slots_count = {"hour": 1, "day": 24, "week": 7}[span]
        return _statement(totals, {n: _filled(b, slots_count) for n, b in bars.items()}, first_s, lines_max)


def _filled(slots: Mapping[int, int], count: int) -> tuple[float, ...]:
    return tuple(slots.get(number, 0) / 1e6 for number in range(count))


def _statement(
    totals: Mapping[str, Usage], bars: Mapping[str, tuple[float, ...]], first_s: int, lines_max: int
) -> Statement:
    whole = Usage()
    for usage in totals.values():
        whole.plus(usage)

    def line(name: str, usage: Usage) -> Line:
        share = usage.micro_usd / whole.micro_usd if whole.micro_usd else 0.0
        return Line(name, usage.calls, usage.tokens, usage.micro_usd / 1e6, share, bars.get(name, ()))

    ranked = sorted(((n, u) for n, u in totals.items() if n), key=lambda item: (-item[1].micro_usd, item[0]))
    lines = [line(name, usage) for name, usage in ranked[:lines_max]]
    rest = Usage()
    for _, usage in ranked[lines_max:]:
        rest.plus(usage)
    more = max(0, len(ranked) - lines_max)
    if more:
        lines.append(structs.replace(line("", rest), name=f"{more} more"))
    nobody = totals.get("", Usage())
    if nobody.calls:
        lines.append(line("", nobody))
    return Statement(
        tuple(lines), whole.micro_usd / 1e6, whole.calls, nobody.micro_usd / 1e6, first_s, more
    )  # fmt: skip
