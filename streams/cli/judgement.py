"""What the detectors would have done, and why."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.common import BrokerOption, Code, ConfigOption, ago_s, moment_s, quiet_logs, say, settings_of

app = typer.Typer()
PANEL = "Look"


Source = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON lines in ingest order: plain, .gz, .zst, .parquet, or -.")
]
DecisionsOption = Annotated[
    str | None, typer.Option("--decisions", metavar="FILE|-", help="Write decisions, JSON lines.", show_default=False)
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="DIR", help="Write a page with charts.", show_default=False)
]
AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="Other settings: which kills come, which go.", show_default=False),
]
FromKafka = Annotated[
    bool, typer.Option("--from-kafka", help="Read the settings' events topics instead of a FILE; needs the secrets.")
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="With --from-kafka: 12h, 7d ago, or 2026-01-31T12:00:00Z.", show_default="all"
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="With --from-kafka: to before then.", show_default="now")
]
PlannedOption = Annotated[
    Path | None,
    typer.Option("--planned", metavar="FILE", help="Periods known to be fine, JSON lines.", show_default=False),
]
MaxFalseKills = Annotated[
    int | None,
    typer.Option("--max-false-kills", min=0, help="Exit with 1 if there are more.", show_default=False),
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="2026-01-31T12:00:00Z or Unix seconds.", show_default="last")
]
EventsOption = Annotated[
    str | None, typer.Option("--events", metavar="FILE", help="Events to judge.", show_default="Kafka's")
]


@app.command(rich_help_panel=PANEL)
def backtest(
    source: Source = "-",
    from_kafka: FromKafka = False,
    since: Since = None,
    until: Until = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
    decisions: DecisionsOption = None,
    report: ReportOption = None,
    against: AgainstOption = None,
    planned: PlannedOption = None,
    max_false_kills: MaxFalseKills = None,
    shards: Annotated[int, typer.Option("--shards", min=1, help="As if the topic had so many partitions.")] = 1,
) -> None:
    """Judge events of the past as if armed: the proof before arming, and a check for a pipeline.

    Of a FILE `ingest_ts` is the clock, and the settings' secrets aren't needed. From Kafka it is the records' time and
    each partition is judged by itself, as by the service; no group is joined and nothing committed. Detectors begin
    knowing nobody: let the events begin some days before what you look for.

    Without --planned, --max-false-kills counts every kill as false.
    """
    from streams import backtest as past

    periods = past.read_planned(planned)
    settings, sink = settings_of(config, broker, with_secrets=from_kafka), past.Sink(decisions)
    events = _range(settings, source, since, until) if from_kafka else _file(source, since or until, against)
    quiet_logs()
    try:
        outcome = past.run(settings, events, sink, shards, remember=report is not None)
    finally:
        sink.close()
    if report is not None or against is not None:
        _compare(past, outcome, events, shards, report, against)
    false = outcome.kills if planned is None else past.false_kills(outcome.kills, periods)
    kills, budget = len(outcome.kills), settings.policy.false_kills_per_1000_agent_days
    say(f"{kills} kills in {outcome.agent_days:,} agent-days: {outcome.per_1000_agent_days(kills):.1f} a 1,000")
    if planned is not None:
        rate = outcome.per_1000_agent_days(len(false))
        say(f"{len(false)} of them in planned periods: {rate:.1f} a 1,000 agent-days of a budget of {budget:g}")
    if max_false_kills is not None and len(false) > max_false_kills:
        say(f"brakeline: {len(false)} false kills, at most {max_false_kills} are allowed")
        raise typer.Exit(Code.FAILED)


def _file(source: str, range_given: str | None, against: Path | None) -> str:
    if range_given is not None:
        raise typer.BadParameter("they say what of Kafka: add --from-kafka", param_hint="--since, --until")
    if source != "-" and not Path(source).exists():
        raise typer.BadParameter(f"{source} does not exist", param_hint="FILE")
    if source == "-" and against is not None:
        raise typer.BadParameter("standard input can be read only once: give a FILE", param_hint="--against")
    return source


def _range(settings: Any, source: str, since: str | None, until: str | None) -> Any:
    from streams.kafka_range import range_of

    if source != "-":
        raise typer.BadParameter("give a FILE or --from-kafka, not both", param_hint="FILE")
    since_s, until_s = ago_s(since), ago_s(until, option="--until")
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise typer.BadParameter(f"{since} is not before {until}", param_hint="--since, --until")
    return range_of(settings, since_s, until_s)


def _compare(past: Any, outcome: Any, source: Any, shards: int, report: Path | None, against: Path | None) -> None:
    other = None
    if against is not None:
        other = past.run(settings_of(against, with_secrets=False), source, past.Sink(None), shards)
        ours, theirs = ({kill.scope for kill in each.kills} for each in (outcome, other))
        say(f"against {against}: {len(ours - theirs)} scopes more are killed, {len(theirs - ours)} fewer")
        for mark, scopes in (("+", ours - theirs), ("-", theirs - ours)):
            for scope in sorted(scopes):
                say(f"  {mark} {scope}")
    if report is not None:
        from streams.report import write_report

        say(f"report: {write_report(report, outcome, other, str(against or ''))}")


@app.command(rich_help_panel=PANEL)
def explain(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="kind:id, such as agent:coder-7.")],
    source: EventsOption = None,
    at: AtOption = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Say in words what is usual for a scope, what was seen, and which detector and floor decided."""
    in_words = import_module("streams.explain").explain
    settings = settings_of(config, broker, with_secrets=source is None)
    typer.echo(in_words(settings, scope, source, None if at is None else moment_s(at)))
