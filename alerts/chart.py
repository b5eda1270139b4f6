"""The picture of an incident: what is usual, what was seen, and where it was stopped."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from msgspec import Struct

from alerts.markup import clean

SEEN, USUAL, MARK = "#c0392b", "#7f8c8d", "#2c3e50"


class Point(Struct, frozen=True):
    """Spend at one time, in dollars a minute, beside the band that is usual for it."""

    at_s: float
    seen_usd_per_min: float
    usual_low: float = 0.0
    usual_high: float = 0.0


class Mark(Struct, frozen=True):
    """Something that happened: "killed", "released"."""

    at_s: float
    label: str


def spend_chart(points: Sequence[Point], marks: Sequence[Mark] = (), title: str = "") -> bytes:
    """Draw a PNG of 1,200 by 500 pixels; needs two points at least (ValueError).

    It keeps no global state and may run in a thread; it takes some 100 ms.
    """
    if len(points) < 2:
        raise ValueError("a chart needs two points at least")
    figure = Figure(figsize=(8, 10 / 3), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    times = [_day(point.at_s) for point in points]
    low, high = [p.usual_low for p in points], [p.usual_high for p in points]
    axes.fill_between(times, low, high, color=USUAL, alpha=0.35, linewidth=0, label="usual")
    axes.plot(times, [p.seen_usd_per_min for p in points], color=SEEN, linewidth=1.8, label="seen")
    for mark in marks:
        axes.axvline(_day(mark.at_s), color=MARK, linestyle="--", linewidth=1)
        axes.annotate(
            _literal(mark.label),
            (_day(mark.at_s), 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -12),
            ha="right",
            textcoords="offset points",
            color=MARK,
            fontsize=9,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("USD a minute (times: UTC)")
    axes.xaxis_date(UTC)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator(), tz=UTC))
    axes.set_title(_literal(title)[:100], loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    drawn = io.BytesIO()
    canvas.print_png(drawn)
    return drawn.getvalue()


def _day(at_s: float) -> float:
    return float(date2num(datetime.fromtimestamp(at_s, UTC)))


def _literal(text: str) -> str:
    """Keep a `$` of a name from being read as mathematics."""
    return clean(text).replace("\\", "/").replace("$", r"\$")
