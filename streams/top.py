"""The scopes that burn most, on a terminal: what the page's table shows, for who has no browser at hand."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from alerts.commands import Orders
from alerts.gateway.keys import Trust
from alerts.markup import clean
from streams.assembly import trust_file
from streams.by_hand import NoKeysError
from streams.settings import Settings
from streams.topology import NAMES, compare_topics
from streams.web.board import Board
from streams.web.histories import Histories
from streams.web.reader import Reader
from streams.web.standing import Level, Stands
from streams.web.table import Row, Wanted, row_of, sheet

REFRESH_S = 1.0
COLOURS = {Level.KILLED: "red", Level.HELD: "yellow", Level.THROTTLED: "yellow", Level.WOULD: "magenta",
           Level.WATCH: "cyan"}  # fmt: skip


def table_of(board: Board, now_s: float, lines: int) -> Table:
    """Return the `lines` agents that matter most: who is stopped first, then by dollars a minute."""
    stands, rates = Stands(board, now_s), board.agents.usd_per_min(now_s)
    rows = [row_of(board, agent, stands, rates.get(agent.name, 0.0)) for agent in board.agents.known.values()]
    total = sum(row.usd_per_min for row in rows)
    clock = time.strftime("%H:%M:%S", time.localtime(now_s))
    table = Table(
        title=f"{clock}  {len(rows):,} agents, ${total:,.2f} a minute, {len(board.in_force(now_s))} stopped",
        title_justify="left",
        expand=True,
        box=None,
    )
    for name, justify in (("agent", "left"), ("team", "left"), ("$/min", "right"), ("usual", "right"),
                          ("times", "right"), ("state", "left"), ("why", "left")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", ratio=3 if name == "why" else None)  # type: ignore[arg-type]
    for row in sheet(board, rows, Wanted(), now_s).rows[:lines]:
        table.add_row(*_cells(row), style=COLOURS.get(row.stand.level))
    return table


def _cells(row: Row) -> list[Text]:
    usual = row.agent.usual_usd_per_min
    words = [
        clean(row.agent.name)[:40],
        clean(row.agent.payer.team)[:20] or "(none)",
        f"{row.usd_per_min:,.4f}",
        f"{usual:,.4f}" if usual else "",
        f"{row.times:,.1f}" if row.times else "",
        row.stand.label,
        clean(row.stand.reason),
    ]
    return [Text(word) for word in words]


async def watch(settings: Settings, lines: int, *, once: bool, clock: Callable[[], float] = time.time) -> None:
    """Show the table until cancelled, or once when all was read.

    Raises NoKeysError and KafkaError.
    """
    file = trust_file(settings)
    if not file.exists():
        raise NoKeysError(f"no keys: {file} does not exist; run `brakeline keys` or pass the right --config")
    report = await compare_topics(settings, create=False)
    env, console = settings.keys.env, Console(width=None if sys.stdout.isatty() else 180)
    board = Board(env, Orders(env, "top", {}), 1)
    named = {what: settings.topics.named(what) for what in NAMES}
    trust = Trust.parse(file.read_bytes())
    reader = Reader(board, Histories(), settings.kafka.client_kwargs(), named, report.partitions, trust, clock)
    reading = [asyncio.ensure_future(reader.follow()), asyncio.ensure_future(reader.follow_kills())]
    try:
        while not board.read.complete:
            _raise_first(reading)
            await asyncio.sleep(0.1)
        if once:
            console.print(table_of(board, clock(), lines))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                _raise_first(reading)
                live.update(table_of(board, clock(), min(lines, console.height - 3)), refresh=True)
                await asyncio.sleep(REFRESH_S)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def _raise_first(tasks: Sequence["asyncio.Future[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()
