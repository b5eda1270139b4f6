"""The scopes that burn most, on a terminal: what the page's table shows, for who has no browser at hand."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from alerts.commands import Orders
from alerts.gateway.ending import end
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
from streams.web.table import Row, Wanted, agents_in, runs_of, sheet

try:
    import termios
    import tty
except ImportError:  # Not a POSIX system: Ctrl-C remains.
    termios = None  # type: ignore[assignment]

REFRESH_S = 1.0
COLOURS = {Level.KILLED: "red", Level.HELD: "yellow", Level.THROTTLED: "yellow", Level.WOULD: "magenta",
           Level.WATCH: "cyan"}  # fmt: skip


class Column(NamedTuple):
    """One column: its words are of a row; from `least` columns of a terminal on it is shown."""

    name: str
    width: int
    words: Callable[[Row], str]
    right: bool = False
    least: int = 0


COLUMNS = (
    Column("state", 10, lambda row: row.stand.label),
    Column("agent", 22, lambda row: ("run " if row.kind == "run" else "") + row.agent.name),
    Column("team", 12, lambda row: row.agent.payer.team or "(none)", least=100),
    Column("$/min", 9, lambda row: _usd(row.usd_per_min), right=True),
    Column("usual", 9, lambda row: _usd(row.agent.usual_usd_per_min) if row.agent.usual_usd_per_min else "",
           right=True, least=100),
    Column("times", 6, lambda row: f"{row.times:,.1f}" if row.times else "", right=True),
)  # fmt: skip


def table_of(board: Board, now_s: float, lines: int, width: int = 120) -> Table:
    """Return the `lines` agents and runs that matter most: who is stopped first, then by dollars a minute.

    The reason takes what is left of `width`; numbers are never cut.
    """
    stands = Stands(board, now_s)
    rows = agents_in(board, stands, now_s)
    total = sum(row.usd_per_min for row in rows)
    clock = time.strftime("%H:%M:%S", time.localtime(now_s))
    table = Table(
        title=f"{clock}  {len(rows):,} agents, ${total:,.2f} a minute, {len(board.in_force(now_s))} stopped",
        title_justify="left",
        expand=True,
        box=None,
        pad_edge=False,
    )
    shown = [column for column in COLUMNS if width >= column.least]
    for column in shown:
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.name, justify=justify, no_wrap=True, overflow="ellipsis", width=column.width)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in sheet(board, [*rows, *runs_of(board, stands, now_s)], Wanted(), now_s).rows[:lines]:
        words = [*(column.words(row) for column in shown), row.stand.reason]
        table.add_row(*(Text(clean(each)) for each in words), style=COLOURS.get(row.stand.level))
    return table


def _usd(value: float) -> str:
    """Write dollars in at most nine characters.

    >>> _usd(0.02), _usd(123.456), _usd(1234567.8)
    ('0.0200', '123.46', '1,234,568')
    """
    return f"{value:,.4f}" if value < 100 else f"{value:,.2f}" if value < 100_000 else f"{value:,.0f}"


@contextmanager
def quit_by_key(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` when somebody presses q, where the keyboard is a terminal; leave the terminal as it was."""
    if termios is None or not sys.stdin.isatty():
        yield
        return
    keyboard, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        if os.read(keyboard, 64)[:1] in (b"q", b"Q", b""):
            stop.set()

    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def watch(settings: Settings, lines: int, *, once: bool, clock: Callable[[], float] = time.time) -> None:
    """Show the table until cancelled or somebody presses q, or once when all was read.

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
            console.print(table_of(board, clock(), lines, console.width))
            return
        stop = asyncio.Event()
        with quit_by_key(stop), Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                _raise_first(reading)
                table = table_of(board, clock(), min(lines, console.height - 3), console.width)
                table.caption, table.caption_justify = "q quits", "left"
                live.update(table, refresh=True)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), REFRESH_S)
    finally:
        await end(reading)


def _raise_first(tasks: Sequence["asyncio.Future[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()
