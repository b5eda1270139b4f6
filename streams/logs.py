"""Logs: text for a person on a terminal, JSON elsewhere; names escaped, an outage's repetitions held back."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

Format = Literal["auto", "text", "json"]

BURST = 5
PAUSE_S = 30.0
KINDS_MAX = 1_000
NOISY = ("watchfiles", "aiokafka", "faust", "mode", "kafka", "slack_sdk", "aiohttp.access")

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "held_back"}
_PLAIN_AGAIN = "\x1b[0m"
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}


def escaped(text: str) -> str:
    """Make control characters and lone surrogates visible, so that a name can't forge a line or colour a terminal.

    >>> escaped("agent\\nERROR all is lost")
    'agent\\\\nERROR all is lost'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Repetitions(logging.Filter):
    """Lets `burst` lines of one kind through, then one each `pause_s`, which says how many were held back.

    A kind is a logger, a level and the message before its arguments are filled in. Time is the records' own.
    """

    def __init__(self, burst: int = BURST, pause_s: float = PAUSE_S) -> None:
        super().__init__()
        self._burst = burst
        self._pause_s = pause_s
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        kind = (record.name, record.levelno, str(record.msg))
        since_s, seen = self._kinds.get(kind, (record.created, 0))
        if record.created - since_s >= self._pause_s:
            held_back = max(0, seen - self._burst)
            vars(record)["held_back"] = held_back
            since_s, seen = record.created, max(0, self._burst - 1) if held_back else 0
        if len(self._kinds) >= KINDS_MAX and kind not in self._kinds:
            self._kinds.clear()
        self._kinds[kind] = (since_s, seen + 1)
        return seen < self._burst


class TextFormatter(logging.Formatter):
    """`12:03:04 WARNING streams.app: words key=value`, with colour if asked; a traceback only if asked."""

    def __init__(self, *, colour: bool = False, tracebacks: bool = False) -> None:
        super().__init__()
        self._colour = colour
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(f" {name}={escaped(str(value))}" for name, value in _fields(record).items())
        colour = _COLOURS.get(record.levelname, "") if self._colour else ""
        level = f"{colour}{record.levelname:<7}{_PLAIN_AGAIN if colour else ''}"
        line = f"{clock} {level} {record.name}: {escaped(record.getMessage())}{fields}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" ({type(record.exc_info[1]).__name__}: {escaped(str(record.exc_info[1]))})"
            line += f"\n{self.formatException(record.exc_info)}" if self._tracebacks else ""
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `at` (RFC 3339, UTC), `level`, `logger`, `message`, the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    held_back = getattr(record, "held_back", 0)
    return {**fields, "held_back": held_back} if held_back else fields


def set_up(level: str = "info", style: Format = "auto", stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream` (standard error); what was set up before is replaced.

    Libraries speak from WARNING on, unless `level` is debug.
    """
    stream = stream or sys.stderr
    on_terminal = stream.isatty()
    formatter: logging.Formatter = JsonFormatter()
    if style == "text" or (style == "auto" and on_terminal):
        formatter = TextFormatter(colour=on_terminal, tracebacks=level == "debug")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(Repetitions())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Say from which level on the process logs."""
    logging.getLogger().setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
