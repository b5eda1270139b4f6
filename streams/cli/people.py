"""What a person on call does: kill, release, see what is in force."""

import getpass
import json
import time
from typing import Annotated, Any

import typer
from msgspec import UNSET, to_builtins

from alerts.approving import covers
from alerts.coverage import states
from alerts.decision import Action
from alerts.gateway.asking import APPROVAL, Use
from alerts.gateway.wire import Command
from streams.cli.common import BrokerOption, Code, ConfigOption, JsonOption, quiet_logs, say, settings_of, span_of

app = typer.Typer()
PANEL = "Act"

Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="kind:id, such as agent:coder-7, run:r-1, team:research.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for everybody who reads it later.", prompt=True)]
As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who you are.", show_default="your login")]


@app.command(rich_help_panel=PANEL)
def kill(
    scope: Scope,
    reason: Reason,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.1, help="Ends by itself after this.", show_default="until released"),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Hold instead: refused until a person decides.")] = False,
    actor: As = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Stop an agent, run or team now, at every gateway. Works without the service too.

    For example `brakeline kill run:4f1c --reason "burning" --minutes 30`. It is obeyed in shadow mode as well.
    """
    action = Action.HOLD if hold else Action.KILL
    _order(config, broker, scope, action, reason, actor, for_s=None if minutes is None else 60 * minutes)


@app.command(rich_help_panel=PANEL)
def release(
    scope: Scope,
    reason: Reason,
    seq: Annotated[
        int | None, typer.Option("--seq", help="Only if this command is still in force.", show_default="whatever is")
    ] = None,
    planned: Annotated[
        bool, typer.Option("--planned", help="What it did was meant: no probation, and detectors learn from it.")
    ] = False,
    actor: As = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Let an agent, run or team work again, on probation. Works without the service too; needs the approver's key.

    For example `brakeline release agent:coder-7 --reason "the loop is mended"`.
    """
    _order(config, broker, scope, Action.RELEASE, reason, actor, seq=seq, planned=planned)


Request = Annotated[
    str, typer.Argument(metavar="ID", help="As the refusal, the incident or `brakeline list` names it.")
]


@app.command(rich_help_panel=PANEL)
def approve(
    request: Request,
    reason: Reason,
    once: Annotated[bool, typer.Option("--once", help="One call, within 15 minutes; the default.")] = False,
    run: Annotated[bool, typer.Option("--run", help="The run with all below it, for a day at most.")] = False,
    span: Annotated[
        str | None,
        typer.Option("--for", metavar="SPAN", help="All such calls of the agent: 30m, 1h, 2d.", show_default=False),
    ] = None,
    actor: As = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Let a call go out that waits at an approval gate. Works without the service too; needs the approver's key."""
    if once + run + (span is not None) > 1:
        raise typer.BadParameter("choose one of --once, --run and --for", param_hint="--once / --run / --for")
    for_s = None if span is None else _seconds(span)
    use: Use = "run" if run else "once" if span is None else "span"
    _order(config, broker, _request(request), Action.RELEASE, reason, actor, use=use, for_s=for_s)


@app.command(rich_help_panel=PANEL)
def deny(
    request: Request,
    reason: Reason,
    actor: As = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Refuse a call that waits at an approval gate, or take an approval back; stays so until it is approved."""
    _order(config, broker, _request(request), Action.KILL, reason, actor)


def _request(name: str) -> str:
    return name if name.startswith(f"{APPROVAL}:") else f"{APPROVAL}:{name}"


def _seconds(text: str) -> float:
    span_s = span_of(text)
    if span_s is None or not 0 < span_s <= 7 * 86_400:
        raise typer.BadParameter(f"{text!r}: write a span of up to 7d, such as 30m or 1h", param_hint="--for")
    return span_s


def _order(config: Any, broker: Any, scope: str, action: Action, reason: str, actor: str | None, **kwargs: Any) -> None:
    from streams.by_hand import decision_by_hand, order

    quiet_logs()
    settings = settings_of(config, broker)
    decision = decision_by_hand(scope, action, reason, f"user:{actor or getpass.getuser()}", time.time(), **kwargs)
    command = order(settings, decision)
    typer.echo(
        f"{command.scope} is {_state(command)} (seq {command.seq}, epoch {command.epoch}) {_until(command)}".strip()
    )


def _state(command: Command) -> str:
    return command.state if command.use is UNSET else covers(command.use)


def _until(command: Command) -> str:
    if command.ends_s == float("inf"):
        return ""
    return f"until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(command.ends_s))}"


@app.command("list", rich_help_panel=PANEL)
def list_(config: ConfigOption = None, broker: BrokerOption = None, as_json: JsonOption = False) -> None:
    """Show what is in force, why, until when, and which gateways obey."""
    from streams.by_hand import Standing, look

    quiet_logs()
    standing: Standing = look(settings_of(config, broker))
    now_s = time.time()
    commands = [*standing.orders.active(now_s), *standing.orders.approved(now_s)]
    if as_json:
        typer.echo(json.dumps([_row(command, standing, now_s) for command in commands], indent=2))
        return
    if not commands:
        typer.echo("Nothing is in force.")
    for command in commands:
        typer.echo(
            f"{command.scope}  {_state(command)}  seq {command.seq}  by {command.actor}  {_until(command)}".rstrip()
        )
        typer.echo(f"    {command.reason}; {standing.coverage.text(command.kill_id, now_s)}")


def _row(command: Command, standing: Any, now_s: float) -> dict[str, Any]:
    obeyed, gateways = standing.coverage.counts(command.kill_id, now_s)
    row: dict[str, Any] = to_builtins(command)
    coverage = standing.coverage.text(command.kill_id, now_s)
    return {**row, "kill_id": command.kill_id, "obeyed_by": obeyed, "gateways": gateways, "coverage": coverage}


@app.command(rich_help_panel=PANEL)
def status(config: ConfigOption = None, broker: BrokerOption = None, as_json: JsonOption = False) -> None:
    """Show whether the service is at work, what is in force and how the gateways are; exits with 1 if not well."""
    from streams.by_hand import look

    quiet_logs()
    settings = settings_of(config, broker)
    standing = look(settings)
    now_s = time.time()
    gateways = states(standing.coverage.gateways[name] for name in standing.coverage.live(now_s))
    found = {
        "service": "at work" if standing.is_served else "not at work",
        "heartbeat_age_s": None if standing.heartbeat_age_s is None else round(standing.heartbeat_age_s, 1),
        "mode": settings.mode,
        "epoch": standing.orders.epoch,
        "in_force": len(standing.orders.active(now_s)),
        "gateways": gateways,
        "stale_gateways": sorted(standing.coverage.troubles(now_s)),
        "unbelievable_records": standing.bad_records,
    }
    for name, value in found.items() if not as_json else ():
        typer.echo(f"{name.replace('_', ' '):<22}{_plain(value)}")
    if as_json:
        typer.echo(json.dumps(found))
    if standing.bad_records:
        say("Records of the kill topic are signed by keys that these settings don't trust: is this the right --config?")
    if not standing.is_served or standing.bad_records:
        raise typer.Exit(Code.FAILED)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {state}" for state, number in value.items()) or "none has reported"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "never" if value is None else str(value)
