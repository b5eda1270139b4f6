"""The demo on a terminal: who calls how fast, who is refused, what it costs."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.demo.story import Caller, Story

ROWS = 12


def render(story: Story, now_s: float, note: str) -> RenderableType:
    """Return the screen at `now_s`; `note` says what is going on."""
    table = Table(expand=True, header_style="bold")
    for name, justify in (("agent", "left"), ("team", "left"), ("calls/min", "right"), ("spent", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("refused", justify="right")
    table.add_column("state")
    busiest = sorted(story.callers.values(), key=lambda c: -c.rate_per_min(now_s))
    for caller in busiest[:ROWS]:
        table.add_row(*_row(story, caller, now_s))
    return Group(
        Panel(table, title="the fleet, through a gateway that obeys", subtitle=f"gateway: {story.gateway}"),
        _money(story, now_s),
        Panel(Text(story.incident or "no incident"), title="what the person on call reads"),
        Text(note, style="dim"),
    )


def _row(story: Story, caller: Caller, now_s: float) -> tuple[str | Text, ...]:
    runaway = caller.name == story.runaway and now_s >= story.onset_s
    style = "bold red" if caller.state == "refused" else "yellow" if runaway else ""
    state = f"refused: {caller.why}" if caller.state == "refused" else "running away" if runaway else "ok"
    return (
        Text(caller.name, style=style),
        caller.team,
        f"{caller.rate_per_min(now_s):,.0f}",
        f"${caller.micro_usd / 1e6:,.4f}",
        str(caller.refused),
        Text(state[:90], style=style),
    )


def _money(story: Story, now_s: float) -> RenderableType:
    facts = story.summary()
    burnt, saved = facts["overspend_usd"], facts["saved_usd"]
    text = Text(f"runaway {story.runaway}: ")
    text.append(f"${burnt:,.2f} burnt", style="bold")
    text.append(", ")
    text.append(f"${saved:,.2f} saved", style="bold green")
    text.append(" against its unprotected twin")
    if story.killed_after_s is not None:
        text.append(f"; refused {story.killed_after_s:.1f} s after onset", style="bold")
    elif now_s >= story.onset_s:
        text.append(f"; running for {now_s - story.onset_s:.0f} s", style="yellow")
    return Panel(text, title="money")
