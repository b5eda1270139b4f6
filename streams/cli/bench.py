"""Measurements on this machine; each prints figures, or JSON for a pipeline."""

from importlib import import_module
from typing import Annotated

import typer

from streams.cli.common import Code, JsonOption, say

app = typer.Typer(no_args_is_help=True)

Broker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use.", show_default="one started by deploy/kafka"),
]


def _measure(name: str, *options: str | None, as_json: bool) -> None:
    """Call the function of that name in `streams.bench` and print the figures that it returns."""
    from streams.bench.figures import show
    from streams.demo.stage import StageError

    try:
        figures = getattr(import_module(f"streams.bench.{name}"), name)(*options)
    except StageError as error:
        say(str(error))
        raise typer.Exit(Code.FAILED) from None
    show(figures, as_json=as_json)


@app.command()
def latency(as_json: JsonOption = False, broker: Broker = None) -> None:
    """From a breaching event to a refused call, p50 and p99, beside a bare produce and consume."""
    _measure("latency", broker, as_json=as_json)


@app.command()
def throughput(as_json: JsonOption = False, broker: Broker = None) -> None:
    """Events a second of one worker, beside an idiomatic Faust agent and a bare aiokafka loop."""
    _measure("throughput", broker, as_json=as_json)


@app.command()
def garbage(as_json: JsonOption = False, broker: Broker = None) -> None:
    """Events a second of one worker when a tenth, then most, of its input is unusable, beside clean input."""
    _measure("garbage", broker, as_json=as_json)


@app.command()
def obey(as_json: JsonOption = False, broker: Broker = None) -> None:
    """From a kill to a refused call, p50 and p99, by kind of gateway."""
    _measure("obey", broker, as_json=as_json)


@app.command()
def guard(as_json: JsonOption = False) -> None:
    """Cost of a gateway's check with 10,000 kills in force: p50, p99 and memory."""
    _measure("guard", as_json=as_json)


@app.command()
def memory(as_json: JsonOption = False) -> None:
    """Memory a scope, with a million agents."""
    _measure("memory", as_json=as_json)
