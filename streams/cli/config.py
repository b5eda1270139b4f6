"""The settings in words: what a change of them means, and which value is in force for whom."""

import json
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from streams.cli.common import ConfigOption, JsonOption, file_of, say
from streams.settings import Settings
from streams.settings.document import Document
from streams.settings.loading import Loaded, read

app = typer.Typer()
PANEL = "Set up"
COLOURS = {"tighter": "red", "looser": "green"}


@app.command(rich_help_panel=PANEL)
def diff(
    old: Annotated[Path, typer.Argument(help="The settings as they are.")],
    new: Annotated[Path, typer.Argument(help="The settings as they shall be.")],
    as_json: JsonOption = False,
) -> None:
    """Say in words what a change of the settings means: for whom, tighter (stops more) or looser, live or not.

    Secrets needn't be at hand: ${NAME} and file: are left as they are.
    """
    from streams.settings.compare import compare

    changes = compare(*(read(file, with_secrets=False).settings for file in (old, new)))
    if as_json:
        typer.echo(json.dumps(to_builtins(changes), indent=2))
        return
    whom = ""
    for change in changes:
        if change.whom != whom:
            typer.echo(f"{change.whom}:")
            whom = change.whom
        mark = typer.style(f"{change.effect or 'other':<8}", fg=COLOURS.get(change.effect))
        typer.echo(f"  {mark} {change.words}{' (needs a restart)' if change.needs_restart else ''}")
    if not changes:
        typer.echo("They mean the same.")
    elif any(change.effect for change in changes):
        say(f"See what it would have killed: brakeline backtest EVENTS --config {new} --against {old}")


@app.command("explain-config", rich_help_panel=PANEL)
def explain_config(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="kind:id, such as agent:coder-7.")],
    team: Annotated[str, typer.Option("--team", help="The agent's team.", show_default="not known")] = "",
    environment: Annotated[
        str, typer.Option("--environment", help="The agent's environment.", show_default="not known")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each value in force for a scope, and where it comes from: default, file with its line, or an override."""
    from streams.settings.audiences import Audience
    from streams.settings.origins import origins, unconsidered

    kind, colon, name = scope.partition(":")
    if not (colon and name and kind in {"agent", "team", "run", "workflow"}):
        raise typer.BadParameter(f"{scope!r}: write kind:id, such as agent:coder-7 or team:research")
    file = file_of(config)
    settings, document = Loaded(Settings(), Document({}, {})) if file is None else read(file, with_secrets=False)
    whom = Audience(scope, name if kind == "team" else team, environment)
    found = origins(settings, document, whom)
    if as_json:
        typer.echo(json.dumps([{**to_builtins(each), "file": str(file or "")} for each in found], indent=2))
        return
    width = max(len(each.words) for each in found)
    for each in found:
        place = "default" if each.line is None else f"{file}:{each.line}"
        named = "" if each.source in ("default", "file") else f"  for {each.source}"
        typer.echo(f"{each.words:<{width}}  {place}{named}")
    for other in unconsidered(settings, whom):
        say(f"Not considered: the override for {other}; give --team or --environment if it is of them.")
