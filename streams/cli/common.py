"""What all commands share: where the settings are, how errors are said, what exit codes mean."""

import asyncio
import os
import re
import ssl
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streams.settings import Settings, SettingsError, load
from streams.settings.kafka import Kafka

PLACES = (Path("brakeline.yaml"), Path("/etc/brakeline/brakeline.yaml"))
DEBUG = "BRAKELINE_DEBUG"

_kafka: ContextVar[Kafka | None] = ContextVar("_kafka", default=None)


class Code(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


CODES = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 Kafka can't be reached; "
    "4 refused (nothing was changed); 130 interrupted."
)


class ClearErrors(TyperGroup):
    """Says every error in one clear line (several for settings) and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.TyperException | typer.Exit | typer.Abort) or os.environ.get(DEBUG):
                raise
            if isinstance(error, BrokenPipeError):
                # Who read our output has seen enough; what is still buffered goes nowhere.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(Code.OK) from None
            code, text = said(error)
            if code is Code.UNREACHABLE:
                text = _cause() or text
            say(f"brakeline: {text}" if text else "")
            raise typer.Exit(code) from None


def _cause() -> str:
    """Return which setting keeps us from Kafka; empty if that can't be found out."""
    from streams.reachable import why_not

    kafka = _kafka.get()
    cause = "" if kafka is None else asyncio.run(why_not(kafka))
    return f"Kafka can't be reached: {cause}" if cause else ""


def said(error: BaseException) -> tuple[Code, str]:
    """Return the exit code of an error, and its words."""
    name = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return Code.INTERRUPTED, "interrupted"
    if isinstance(error, SettingsError):
        return Code.USAGE, str(error)
    if name in {"RefusedError", "WireError"}:
        return Code.REFUSED, str(error)
    if name == "RightsError" or name.endswith("AuthorizationFailedError"):
        mend = "" if name == "RightsError" else "; `brakeline doctor` names the rights that are missing"
        return Code.REFUSED, f"Kafka doesn't allow it: {_tail(error)}{mend}"
    if name == "NoKeysError":
        return Code.USAGE, str(error)
    if name in {"KafkaConnectionError", "NodeNotReadyError", "RequestTimedOutError", "KafkaTimeoutError"}:
        return Code.UNREACHABLE, f"Kafka can't be reached: {_tail(error)}; `brakeline doctor` looks for the cause"
    if isinstance(error, ssl.SSLError):
        return Code.USAGE, f"a certificate can't be used: {error}; look at kafka.security in the settings"
    if isinstance(error, ValueError | FileExistsError):
        return Code.USAGE, str(error)
    if name in {"UnansweredError", "UndeliveredError"}:
        return Code.FAILED, str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Code.FAILED, f"{where}{error.strerror or error}"
    if isinstance(error, ModuleNotFoundError):
        return Code.FAILED, f"this part isn't installed: {error}"
    return Code.FAILED, f"{name}: {_tail(error)} (set {DEBUG}=1 for the whole story)"


def _tail(error: BaseException) -> str:
    """Return the error's own words, without aiokafka's class name in front."""
    return str(error).removeprefix(f"{type(error).__name__}: ").strip() or "no reason given"


def say(text: str) -> None:
    """Tell the person, on standard error."""
    typer.echo(text, err=True)


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="BRAKELINE_CONFIG",
        help="Settings file; without it ./brakeline.yaml, /etc/brakeline/brakeline.yaml, else the defaults.",
        show_default=False,
    ),
]
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka to use instead of the settings'.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def file_of(config: Path | None) -> Path | None:
    """Return the settings file that a command is to use; None where there is none."""
    return config or next((place for place in PLACES if place.exists()), None)


def settings_of(config: Path | None, broker: str | None = None, *, with_secrets: bool = True) -> Settings:
    """Load the settings that a command is to use. Raises SettingsError."""
    path = file_of(config)
    settings = Settings() if path is None else load(path, with_secrets=with_secrets)
    settings = settings if broker is None else at_broker(settings, broker)
    remember(settings)
    return settings


def remember(settings: Settings) -> None:
    """Note which Kafka a command talks to: should that fail, the cause is looked for there."""
    _kafka.set(settings.kafka)


def at_broker(settings: Settings, broker: str, *, transactions: bool | None = None) -> Settings:
    """Return the settings with another cluster, which may have no transactions."""
    if not broker.rpartition(":")[2].isdigit():
        raise typer.BadParameter(f"{broker!r}: write HOST:PORT", param_hint="--broker")
    servers = tuple(part.strip() for part in broker.split(","))
    fenced = settings.kafka.transactions if transactions is None else transactions
    kafka = settings.kafka.model_copy(update={"bootstrap": servers, "transactions": fenced})
    return settings.model_copy(update={"kafka": kafka})


def quiet_logs() -> None:
    """Keep libraries' chatter out of a command's output; errors are raised and said once."""
    import logging

    logging.getLogger().addHandler(logging.NullHandler())
    for name in ("aiokafka", "streams", "alerts"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def wait(coroutine: Any) -> Any:
    """Run a coroutine to its end, with quiet logs."""
    quiet_logs()
    return asyncio.run(coroutine)


def moment_s(text: str, option: str = "--at") -> float:
    """Read a time, ISO 8601 (UTC if no zone is given) or Unix seconds.

    >>> moment_s("1970-01-01T00:01:00Z"), moment_s("60")
    (60.0, 60.0)
    """
    from datetime import UTC, datetime

    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write 2026-01-31T12:00:00Z or Unix seconds", param_hint=option) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def ago_s(text: str | None, now_s: Callable[[], float] = time.time, option: str = "--since") -> float | None:
    """Read a time: so long ago (10m, 2h, 3d), or as `--at` has it.

    >>> ago_s("2h", lambda: 10_000.0), ago_s("1970-01-01T00:01:00Z"), ago_s(None)
    (2800.0, 60.0, None)
    """
    if text is None:
        return None
    span_s = span_of(text)
    return moment_s(text, option) if span_s is None else now_s() - span_s


def span_of(text: str) -> float | None:
    """Read a span in seconds; None if it is none.

    >>> span_of("30m"), span_of("1.5h"), span_of("soon")
    (1800.0, 5400.0, None)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]] if found else None


def on_terminal() -> bool:
    """Tell whether a person is looking at standard error."""
    return sys.stderr.isatty()
