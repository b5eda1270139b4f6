"""What happens, as it happens, and who did what."""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from streams.cli.common import BrokerOption, ConfigOption, JsonOption, ago_s, settings_of, wait

app = typer.Typer()
PANEL = "Look"
BESIDE = 19
"""Columns that time and kind take."""
COLOURS = {"KILLED": "red", "HELD": "yellow", "THROTTLED": "yellow", "RELEASED": "green", "WARNING": "cyan"}

Globbed = Annotated[str, typer.Option("--scope", metavar="GLOB", help="Only these, such as 'agent:batch-*'.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="From then on: 10m, 2h, 3d ago, or 2026-01-31T12:00:00Z."),
]


@app.command(rich_help_panel=PANEL)
def top(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=50, help="How many agents.")] = 40,
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Show who burns most, against the usual, with state and reason; who is stopped comes first. Until q or Ctrl-C."""
    from streams.top import watch

    wait(watch(settings_of(config, broker), lines, once=once))


@app.command(rich_help_panel=PANEL)
def tail(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="decisions, incidents or commands; may be given again.", show_default="all"),
    ] = None,
    scope: Globbed = "*",
    since: Since = None,
    stop: Annotated[bool, typer.Option("--no-follow", help="End at what is there now; goes with --since.")] = False,
    config: ConfigOption = None,
    broker: BrokerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show decisions, incidents and commands as they come, until Ctrl-C. With --json one object a line."""
    from streams.tailing import KINDS, Reader

    unknown = set(only or ()) - set(KINDS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: write {', '.join(KINDS)}", param_hint="--only")
    reader = Reader(settings_of(config, broker), only or KINDS)

    async def show() -> None:
        async for line in reader.lines(ago_s(since), on=not stop):
            if fnmatchcase(line.scope, scope):
                typer.echo(json.dumps(line.document) if as_json else _coloured(line.at_s, line.kind, line.text))

    wait(show())


def _coloured(at_s: float, kind: str, text: str) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(at_s))
    word = text.partition(":")[0].split(" ")[0].upper()
    if sys.stdout.isatty():
        text = _wrapped(text, shutil.get_terminal_size().columns)
    return f"{clock} {kind:<9} {typer.style(text, fg=COLOURS.get(word))}"


def _wrapped(text: str, columns: int) -> str:
    """Break a text between words, what follows below its beginning.

    >>> print(_wrapped("killed run:4f1c: a loop that makes no headway", 45))
    killed run:4f1c: a loop
                       that makes no headway
    """
    lines = textwrap.wrap(text, max(20, columns - BESIDE)) or [""]
    return ("\n" + " " * BESIDE).join(lines)


@app.command(rich_help_panel=PANEL)
def audit(
    since: Since = "7d",
    actor: Annotated[str, typer.Option("--actor", metavar="GLOB", help="Who, such as 'slack:*'.")] = "*",
    verb: Annotated[str, typer.Option("--verb", metavar="GLOB", help="What: kill, release, configure, ...")] = "*",
    scope: Globbed = "*",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    config: ConfigOption = None,
    broker: BrokerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, when and why: clicks, commands of people, changed settings; also what was refused."""
    from streams.audit import Wanted, read

    wanted = Wanted(actor=actor, verb=verb, scope=scope, refused=refused)
    lines = wait(read(settings_of(config, broker), ago_s(since) or 0.0, wanted))
    if not lines and not as_json:
        typer.echo("Nobody did anything that fits.")
    for line in lines:
        typer.echo(json.dumps(line) if as_json else _audited(line))


def _audited(line: Mapping[str, Any]) -> str:
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["at_s"]))
    outcome = "" if line["outcome"] == "accepted" else f" [{line['outcome']}]"
    about = line["scope"] or line["incident_id"]
    words = f"{clock}  {line['actor']} {line['verb']} {about}".rstrip()
    return f"{words} via {line['via']}{outcome}" + (f"\n    {line['reason']}" if line["reason"] else "")
