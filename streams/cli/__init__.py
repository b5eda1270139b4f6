"""The command line, `brakeline COMMAND --help`: one file a group; a command imports what it needs when it is called."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from detectors.judge import compiled
from streams.cli import bench, config, fleet, judgement, people, service, setup, traffic, watching
from streams.cli.common import CODES, ClearErrors

app = typer.Typer(
    cls=ClearErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=CODES,
    rich_markup_mode="markdown",
)
for group in (service, people, judgement, watching, fleet, traffic, setup, config):
    app.registered_commands += group.app.registered_commands
app.add_typer(bench.app, name="bench", help="Measure this installation.", rich_help_panel="Try out")


def _show_version(asked: bool) -> None:
    if asked:
        try:
            typer.echo(f"brakeline {version('brakeline')}{' (compiled)' if compiled() else ''}")
        except PackageNotFoundError:
            typer.echo("brakeline, not installed")
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Brakeline stops runaway AI agents: it reads their token usage from Kafka and tells every gateway to refuse them.

    Begin with `brakeline demo`; then `brakeline doctor` and `brakeline run`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with a `Code`."""
    app(args=None if arguments is None else list(arguments), prog_name="brakeline")


if __name__ == "__main__":
    main()
