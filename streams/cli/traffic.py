"""A file of events, played into Kafka."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.common import BrokerOption, ConfigOption, say, settings_of, wait
from streams.settings import Settings

app = typer.Typer()
PANEL = "Try out"

TopicOption = Annotated[str | None, typer.Option("--topic", help="Events topic.", show_default="the settings' first")]


@app.command(rich_help_panel=PANEL)
def produce(
    file: Annotated[str, typer.Argument(help="JSON lines: plain, .gz, .zst, .parquet, or - for standard input.")],
    speed: Annotated[str, typer.Option("--speed", metavar="N|max", help="Times the original pace.")] = "1",
    retime: Annotated[bool, typer.Option("--retime", help="As if it happened now; event ids are made new.")] = False,
    topic: TopicOption = None,
    config: ConfigOption = None,
    broker: BrokerOption = None,
) -> None:
    """Play a file of events into Kafka, each agent's in order, at the original pace or any other.

    A record's time is its `ingest_ts` (else `ts`). Lines that are no events are sent as they are: quarantine is the
    service's business. For times of the past, the topic needs topics.timestamp_type: create, or use --retime.
    """
    from streams.replay import open_lines

    if file != "-" and not Path(file).exists():
        raise typer.BadParameter(f"{file} does not exist", param_hint="FILE")
    into_kafka(open_lines(file), settings_of(config, broker), topic, _speed(speed), retime=retime)


def _speed(text: str) -> float:
    try:
        speed = inf if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise typer.BadParameter(f"{text!r}: write a number above 0, or max", param_hint="--speed")
    return speed


def into_kafka(lines: Iterator[bytes], settings: Settings, topic: str | None, speed: float, *, retime: bool) -> None:
    """Produce lines, with progress and a summary on standard error."""
    from streams.produce import Pace, produce, records

    topic = topic or settings.topics.event_topics[0]
    began_s = time.perf_counter()
    with _progress() as progress:
        tally = wait(produce(records(lines), settings.kafka.client_kwargs(), topic, Pace(speed, retime), progress))
    took_s = time.perf_counter() - began_s
    say(
        f"{tally.records:,} records into {topic}, {tally.value_bytes / 1e6:,.1f} MB in {took_s:,.1f} s, "
        f"{tally.records / max(took_s, 1e-9):,.0f} records/s; {tally.unkeyed:,} without a usable agent"
    )


@contextmanager
def _progress() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("connecting")

        def progress(tally: Any) -> None:
            behind = f", {tally.behind_s:,.1f} s behind" if tally.behind_s > 1 else ""
            bar.update(task, description=f"{tally.records:,} records, {tally.stream_s / 60:,.1f} min of events{behind}")

        yield progress
