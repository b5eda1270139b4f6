"""How numbers, times and names are written on the page, and the two small drawings that stand beside them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from markupsafe import Markup

from alerts.markup import person

SPARK_WIDTH, SPARK_HEIGHT = 120, 22


def usd(amount: float) -> str:
    """Write dollars, with as many digits as matter.

    >>> usd(1235.0), usd(12.345), usd(0.0123), usd(0.00004), usd(0.0)
    ('$1,235', '$12.35', '$0.0123', '<$0.0001', '$0')
    """
    if amount == 0:
        return "$0"
    if amount >= 1_000:
        return f"${amount:,.0f}"
    if amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.0001 else "<$0.0001"


def count(number: float) -> str:
    """Write a count.

    >>> count(950), count(12_345), count(1_234_567), count(2.5e9)
    ('950', '12.3 k', '1.23 M', '2.50 G')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.{1 if unit == 'k' else 2}f} {unit}"
    return f"{number:,.0f}"


def times(ratio: float) -> str:
    """Write how many times the usual something is.

    >>> times(0.0), times(1.24), times(38.2), times(12345.0)
    ('–', '1.2×', '38×', '>999×')
    """
    if ratio <= 0:
        return "–"
    if ratio >= 1_000:
        return ">999×"
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def span(seconds: float) -> str:
    """Write how long something takes or is ago.

    >>> span(0.182), span(12.0), span(150.0), span(7260.0), span(200_000.0)
    ('182 ms', '12 s', '2 min', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 1:
        return f"{1000 * max(0.0, seconds):.0f} ms"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def clock(at_s: float) -> str:
    """Write a time of the day, UTC.

    >>> clock(0.0)
    '00:00:00'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S")


def day_clock(at_s: float) -> str:
    """Write a day and a time, UTC.

    >>> day_clock(0.0)
    '1 Jan 00:00:00'
    """
    moment = datetime.fromtimestamp(at_s, UTC)
    return f"{moment.day} {moment.strftime('%b %H:%M:%S')}"


def iso(at_s: float) -> str:
    """Write a time for machines.

    >>> iso(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def who(actor: str) -> str:
    """Name who did something.

    >>> who("page:alice@example.com"), who("detector")
    ('alice@example.com', 'detector')
    """
    return person(actor, mention=False)


def query(fields: Mapping[str, str]) -> str:
    """Write a query with its question mark, or nothing.

    >>> query({"team": "a b"}), query({})
    ('?team=a+b', '?')
    """
    return f"?{urlencode(fields)}"


def path_of(name: str) -> str:
    """Write a name as one part of a path.

    >>> path_of("agent:a/b")
    'agent%3Aa%2Fb'
    """
    return quote(name, safe="")


def spark(values: Sequence[float], usual: float = 0.0) -> Markup:
    """Draw values as a line over its own height, with the usual as a faint line across."""
    top = max(max(values, default=0.0), usual, 1e-9)
    step = SPARK_WIDTH / max(1, len(values) - 1)
    floor = SPARK_HEIGHT - 1.5

    def height(value: float) -> float:
        return floor - value / top * (SPARK_HEIGHT - 4)

    points = " ".join(f"{number * step:.1f},{height(value):.1f}" for number, value in enumerate(values))
    line = Markup('<polyline points="{}"/>').format(points) if any(values) else Markup("")
    area = Markup('<polygon points="0,{0:.1f} {1} {2},{0:.1f}"/>').format(floor, points, SPARK_WIDTH)
    level = height(usual)
    mean = Markup('<line x1="0" x2="{0}" y1="{1:.1f}" y2="{1:.1f}"/>').format(SPARK_WIDTH, level) if usual else ""
    return Markup('<svg class="spark" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}{}{}</svg>').format(
        SPARK_WIDTH, SPARK_HEIGHT, area if any(values) else "", mean, line
    )


def bars(values: Sequence[float]) -> Markup:
    """Draw values as bars, oldest first."""
    top = max(max(values, default=0.0), 1e-9)
    width = SPARK_WIDTH / max(1, len(values))
    drawn = [
        Markup('<rect x="{:.1f}" width="{:.1f}" y="{:.1f}" height="{:.1f}"/>').format(
            number * width + 0.5, max(0.5, width - 1), SPARK_HEIGHT - high, high
        )
        for number, value in enumerate(values)
        if (high := max(0.8 if value else 0.0, value / top * (SPARK_HEIGHT - 2))) > 0
    ]
    return Markup('<svg class="spark bars" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}</svg>').format(
        SPARK_WIDTH, SPARK_HEIGHT, Markup("").join(drawn)
    )
