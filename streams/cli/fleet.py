"""A made-up fleet, to try things out with."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from streams.cli.common import BrokerOption, ConfigOption, say, settings_of
from streams.cli.traffic import PANEL, TopicOption, into_kafka
from streams.simulate import LOOKALIKES, MONDAY_MORNING_S, RUNAWAYS, Plan, episodes
from streams.simulate import simulate as simulated

app = typer.Typer()
ALL = "all"

Runaways = Annotated[
    list[str] | None, typer.Option("--runaway", metavar="KIND", help=f"Repeatable: {', '.join(RUNAWAYS)}, all.")
]
Lookalikes = Annotated[
    list[str] | None, typer.Option("--lookalike", metavar="KIND", help=f"Harmless: {', '.join(LOOKALIKES)}, all.")
]
Onset = Annotated[
    float | None, typer.Option("--onset", metavar="MINUTE", help="First runaway.", show_default="after 40 %")
]
Start = Annotated[
    float, typer.Option("--start", metavar="UNIX_S", help="First second.", show_default="a Monday, 09:00 UTC")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="JSON lines in ingest order; - is standard output.")]
Truth = Annotated[
    Path | None, typer.Option("--truth", help="Write which runaways there are, JSON lines.", show_default=False)
]
Live = Annotated[bool, typer.Option("--live", help="Into Kafka instead, at its own pace, as of now.")]
Speed = Annotated[float, typer.Option("--speed", min=0.01, help="With --live: times its own pace.")]


@app.command(rich_help_panel=PANEL)
def simulate(
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same events.")] = 1,
    agents: Annotated[int, typer.Option("--agents", min=1, help="How many there are.")] = 40,
    teams: Annotated[int, typer.Option("--teams", min=1, help="How many they belong to.")] = 4,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="How long they work.")] = 60.0,
    runaway: Runaways = None,
    lookalike: Lookalikes = None,
    onset: Onset = None,
    pace: Annotated[float, typer.Option("--pace", help="Multiplies everybody's ordinary rate.")] = 1.0,
    start: Start = MONDAY_MORNING_S,
    out: Out = Path("-"),
    truth: Truth = None,
    live: Live = False,
    speed: Speed = 1.0,
    topic: TopicOption = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Make up a fleet of agents with runaways among them: events to a file, to standard output or into Kafka."""
    plan = Plan(
        seed=seed,
        agents=agents,
        teams=teams,
        minutes=minutes,
        start_s=start,
        runaways=_kinds(runaway, RUNAWAYS),
        lookalikes=_kinds(lookalike, LOOKALIKES),
        onset_min=onset,
        pace=pace,
    )
    if truth is not None:
        truth.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in episodes(plan)))
    lines = (msgspec.json.encode(each.event) for each in simulated(plan))
    if live:
        into_kafka(lines, settings_of(config, broker), topic, speed, retime=True)
        return
    written = _into_file(lines, out)
    say(f"{written:,} events of {agents} agents over {minutes:g} minutes, {len(plan.runaways)} runaways (seed {seed})")


def _kinds(chosen: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    return known if chosen and ALL in chosen else tuple(chosen or ())


def _into_file(lines: Iterator[bytes], out: Path) -> int:
    written = 0
    stream = sys.stdout.buffer if str(out) == "-" else out.open("wb")
    try:
        for line in lines:
            stream.write(line + b"\n")
            written += 1
        stream.flush()
    finally:
        if stream is not sys.stdout.buffer:
            stream.close()
    return written
