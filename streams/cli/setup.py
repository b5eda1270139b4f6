"""Setting up: check and describe the settings, make keys, create topics, look for what is missing."""

import json
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from streams.cli.common import BrokerOption, Code, ConfigOption, JsonOption, say, settings_of, wait
from streams.settings import load
from streams.settings.published import text as settings_schema

app = typer.Typer()
PANEL = "Set up"


@app.command(rich_help_panel=PANEL)
def validate(
    file: Annotated[Path, typer.Argument(help="The settings file.")],
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave ${NAME} and file: as they are, where the secrets aren't.")
    ] = False,
) -> None:
    """Check a settings file: every mistake with its line and how to mend it."""
    settings = load(file, with_secrets=not without_secrets)
    overrides = len(settings.policy.overrides)
    typer.echo(
        f"{file}: fine. mode {settings.mode}, Kafka at {','.join(settings.kafka.bootstrap)}, "
        f"{len(settings.limits)} limits, {len(settings.gates)} gates, "
        f"{overrides} overrides, {len(settings.protected)} protected scopes."
    )


@app.command(rich_help_panel=PANEL)
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors and pipelines."""
    typer.echo(settings_schema(), nl=False)


@app.command(rich_help_panel=PANEL)
def keys(
    folder: Annotated[Path, typer.Argument(help="Where to write them; made if missing.")] = Path("keys"),
) -> None:
    """Make the keys that sign commands: detector (kills), approver (releases), commander (heartbeats), and trust.json.

    Gateways need trust.json only. No existing file is ever replaced.
    """
    from alerts.gateway.keys import write_keys

    for path in write_keys(folder):
        typer.echo(path)
    say(f"Set keys.dir: {folder} in the settings, give trust.json to the gateways, and keep *.key private.")


@app.command(rich_help_panel=PANEL)
def topics(
    create: Annotated[
        bool, typer.Option("--create", help="Create the missing ones; existing ones are not changed.")
    ] = False,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Compare Kafka's topics with what is needed; exits with 1 if something differs."""
    from streams.topology import compare_topics

    settings = settings_of(config, broker)
    report = wait(compare_topics(settings, create=create))
    for name in report.created:
        typer.echo(f"created {name} ({report.partitions.get(name, '?')} partitions)")
    for finding in report.findings:
        typer.echo(finding)
    if report.findings:
        if not create:
            say("`brakeline topics --create` creates what is missing.")
        raise typer.Exit(Code.FAILED)
    if not report.created:
        typer.echo("All topics are there, and as they should be.")


@app.command(rich_help_panel=PANEL)
def doctor(config: ConfigOption = None, broker: BrokerOption = None, as_json: JsonOption = False) -> None:
    """Look at everything that Brakeline needs, and say what is missing and what to do about it.

    Changes nothing. Exits with 0 if nothing fails (a warning is none), 1 if something does, 2 for wrong settings, 3 if
    Kafka can't be reached.
    """
    from streams.doctor import Level, examine

    findings = wait(examine(settings_of(config, broker)))
    if as_json:
        typer.echo(json.dumps(to_builtins(findings), indent=2))
    for finding in () if as_json else findings:
        colour = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}[finding.level]
        remedy = f"\n     -> {finding.remedy}" if finding.remedy else ""
        typer.echo(f"{typer.style(f'{finding.level:<4}', fg=colour)} {finding.what}{remedy}")
    if any(finding.level is Level.FAIL for finding in findings):
        no_kafka = any(finding.level is Level.FAIL and finding.part == "kafka" for finding in findings)
        raise typer.Exit(Code.UNREACHABLE if no_kafka else Code.FAILED)


@app.command(rich_help_panel=PANEL)
def detectors(
    name: Annotated[str | None, typer.Argument(help="Only this one.", show_default=False)] = None,
) -> None:
    """Describe the detectors: what each catches, what fools it, its parameters. Markdown."""
    from detectors.registry import DETECTORS, describe
    from streams.settings.problems import nearest

    if name is not None and name not in DETECTORS:
        raise typer.BadParameter(f"no detector {name!r}; {nearest(name, DETECTORS)}", param_hint="NAME")
    typer.echo("\n".join(describe(each) for each in ([name] if name else sorted(DETECTORS))))


@app.command(rich_help_panel=PANEL)
def metrics() -> None:
    """Describe the metrics at /metrics: meaning, and what to do when one looks wrong. Markdown."""
    from streams.metrics import document

    typer.echo(document())
