"""The service and the demo."""

import logging
from contextlib import ExitStack
from typing import Annotated

import typer

from streams.cli.common import Code, ConfigOption, at_broker, file_of, remember, say

app = typer.Typer()
PANEL = "Run"
EMBEDDED = "embedded"

BrokerOrEmbedded = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="HOST:PORT",
        help="Kafka to use instead of the settings'; `embedded` starts one in memory, for trying out.",
        show_default=False,
    ),
]


@app.command(rich_help_panel=PANEL)
def run(config: ConfigOption = None, broker: BrokerOrEmbedded = None) -> None:
    """Run the service until SIGTERM or Ctrl-C: judge events, order kills, tell people.

    Start as many as you like with the same settings: they share the partitions. A changed settings file is read again
    by itself, or on SIGHUP; a broken one is logged and the last good one stays in force.
    """
    from streams.broker import WARNING, embedded_broker
    from streams.logs import set_up
    from streams.process import run_service
    from streams.reload import Reader
    from streams.settings import Settings

    def amended(settings: Settings) -> Settings:
        return at_broker(settings, address, transactions=settings.kafka.transactions and broker != EMBEDDED)

    source = Reader(file_of(config), None if broker is None else amended)
    with ExitStack() as stack:
        address = stack.enter_context(embedded_broker()) if broker == EMBEDDED else broker or ""
        settings = source.read()
        remember(settings)
        set_up(settings.logs.level, settings.logs.format)
        if broker == EMBEDDED:
            logging.getLogger("streams.broker").warning("%s It listens on %s.", WARNING, address)
        code = run_service(settings, source)
    raise typer.Exit(code)


@app.command(rich_help_panel=PANEL)
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No screen; print one JSON line at the end.")] = False,
    broker: Annotated[str, typer.Option("--broker", metavar="HOST:PORT", help="`embedded`, or a Kafka.")] = EMBEDDED,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another fleet.")] = 10,
) -> None:
    """Watch a runaway agent being stopped, all on this machine; takes about a minute.

    Exits with 0 only if the runaway was refused within 10 s and could be released.
    """
    from streams.demo import main as show

    code = show(headless=headless, broker=broker, seed=seed)
    if code == Code.OK and not headless:
        say("Next: `brakeline doctor`, then `brakeline run` with your own Kafka.")
    raise typer.Exit(code)
