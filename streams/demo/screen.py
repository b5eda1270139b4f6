"""The demo on a terminal: who calls how fast, who is refused, what it costs."""

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.demo.story import Caller, Story

ROWS_MAX = 12
AROUND = 16
"""Lines that are not of the table's rows: with them all fits on a terminal of 24 lines."""
BAR_CELLS, BAR_FROM_CELLS = 10, 96


class Screen:
    """The screen at `now_s`, as large as the terminal allows; `note` says what is going on."""

    def __init__(self, story: Story, now_s: float, note: str) -> None:
        self._story, self._now_s, self._note = story, now_s, note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay it out."""
        story, now_s = self._story, self._now_s
        rows = max(4, min(ROWS_MAX, options.size.height - AROUND))
        fleet = _fleet(story, now_s, rows, with_bars=options.max_width >= BAR_FROM_CELLS)
        yield Group(
            Text(f" {self._note}" if self._note else "", style="bold cyan"),
            Panel(fleet, title="the fleet, through a gateway that obeys", subtitle=f"gateway: {story.gateway}"),
            Panel(_money(story, now_s), title="money"),
            Panel(_incident(story), title="what the person on call reads"),
        )


def _fleet(story: Story, now_s: float, rows: int, *, with_bars: bool) -> RenderableType:
    table = Table(expand=True, header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True)
    for name, justify, least in (
        *(("agent", "left", 10), ("calls/min", "right", 9), ("burns/min", "right", 9)),
        *((("", "left", BAR_CELLS),) if with_bars else ()),
        *(("spent", "right", 8), ("refused", "right", 7), ("state", "left", 21)),
    ):
        table.add_column(name, justify=justify, min_width=least, no_wrap=True)
    busiest = sorted(story.callers.values(), key=lambda c: (c.name != story.runaway, -c.micro_usd, c.name))
    most = max((caller.usd_per_min(now_s) for caller in busiest), default=0.0)
    for caller in busiest[:rows]:
        cells = _row(story, caller, now_s, most)
        table.add_row(*(cells if with_bars else (*cells[:3], *cells[4:])))
    return table


def _row(story: Story, caller: Caller, now_s: float, most: float) -> tuple[str | Text, ...]:
    state, style = _state(story, caller, now_s)
    burns = caller.usd_per_min(now_s)
    return (
        Text(caller.name, style=style),
        f"{caller.rate_per_min(now_s):,.0f}",
        _usd(burns),
        Text("\u2588" * round(BAR_CELLS * burns / most) if most else "", style=style or "green"),
        _usd(caller.micro_usd / 1e6),
        str(caller.refused or ""),
        Text(state, style=style),
    )


def _usd(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 0.01 or not usd else f"${usd:,.4f}"


def _state(story: Story, caller: Caller, now_s: float) -> tuple[str, str]:
    if caller.name == story.runaway:
        if story.worked_again_at_s is not None:
            return "released, works again", "bold green"
        if story.released_at_s is not None:
            return "released", "green"
        if caller.state != "refused" and now_s >= story.onset_s > 0:
            return "running away", "bold yellow"
    return ("REFUSED", "bold red") if caller.state == "refused" else ("ok" if caller.calls else "quiet", "")


def _money(story: Story, now_s: float) -> RenderableType:
    facts = story.summary()
    text = Text(f"{story.runaway}: ")
    if not 0 < story.onset_s <= now_s:
        return text.append("works as usual")
    text.append(f"${facts['overspend_usd']:,.2f} burnt", style="bold")
    text.append(", ")
    text.append(f"${facts['saved_usd']:,.2f} saved", style="bold green")
    text.append(" against its unprotected twin, who goes on at ")
    text.append(f"${story.hour_usd(now_s):,.0f} an hour", style="bold red")
    if story.killed_after_s is not None:
        text.append(f"; refused {story.killed_after_s:.1f} s after onset", style="bold")
    else:
        text.append(f"; running for {now_s - story.onset_s:.0f} s", style="yellow")
    return text


def _incident(story: Story) -> RenderableType:
    head, _, rest = story.incident.partition("\n")
    return Text(head, style="bold red").append(f"\n{rest}", style="default") if rest else Text("nothing yet")
