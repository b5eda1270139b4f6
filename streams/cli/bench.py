"""Measurements on this machine; each prints figures, or JSON for a pipeline."""

import json
from importlib import import_module
from typing import Annotated

import typer

from streams.cli.common import JsonOption

app = typer.Typer(no_args_is_help=True)

Broker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use.", show_default="one started by deploy/kafka"),
]


def _measure(name: str, *address: str | None, as_json: bool) -> None:
    """Print what `streams.bench.<name>.<name>(*address)` returns: figures by name, perhaps in groups."""
    figures = getattr(import_module(f"streams.bench.{name}"), name)(*address)
    if as_json:
        typer.echo(json.dumps(figures))
        return
    width = max(map(len, figures), default=0) + 2
    for key, value in figures.items():
        typer.echo(f"{key:<{width}}{_plain(value)}")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


@app.command()
def latency(as_json: JsonOption = False, broker: Broker = None) -> None:
    """From a breaching event to a refused call, p50 and p99, beside a bare produce and consume."""
    _measure("latency", broker, as_json=as_json)


@app.command()
def throughput(as_json: JsonOption = False, broker: Broker = None) -> None:
    """Events a second of one worker, beside an idiomatic Faust agent and a bare aiokafka loop."""
    _measure("throughput", broker, as_json=as_json)


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
