import io
import json
import logging
from collections.abc import Iterator

import pytest

from streams.logs import JsonFormatter, Repetitions, TextFormatter, set_up


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def record(message: str, *args: object, at_s: float = 0.0, **extra: object) -> logging.LogRecord:
    fields = {"name": "x", "levelno": 30, "levelname": "WARNING", "msg": message, "args": args, "created": at_s}
    return logging.makeLogRecord({**fields, **extra})


def test_an_outage_does_not_flood_the_logs() -> None:
    gate = Repetitions(burst=5, pause_s=30.0)

    written = [r for i in range(3_000) if gate.filter(r := record("broker %s is gone", i, at_s=i / 10))]

    assert len(written) == 5 + 9
    assert [getattr(r, "held_back", 0) for r in written[5:7]] == [295, 299]


def test_other_lines_pass_during_an_outage() -> None:
    gate = Repetitions(burst=1)
    assert [gate.filter(record(text)) for text in ("a", "a", "b", "a", "b", "c")] == [1, 0, 1, 0, 0, 1]


def test_a_quiet_line_is_not_held_back_later() -> None:
    gate = Repetitions(burst=2, pause_s=30.0)
    assert all(gate.filter(record("now and then", at_s=20.0 * i)) for i in range(100))


def test_a_name_can_not_forge_a_line() -> None:
    forged = record("killed %s", "a\n12:00:00 INFO all well\x1b[2J", agent="b\r\nc")

    assert TextFormatter().format(forged).count("\n") == 0
    assert "\x1b" not in TextFormatter().format(forged)
    assert JsonFormatter().format(forged).count("\n") == 0


def test_json_lines_carry_the_fields(root: logging.Logger) -> None:
    stream = io.StringIO()
    set_up("info", "auto", stream)

    logging.getLogger("streams.x").info("killed %s", "agent:a", extra={"scope": "agent:a"})
    logging.getLogger("aiokafka").info("chatter")

    (line,) = stream.getvalue().splitlines()
    assert {k: json.loads(line)[k] for k in ("level", "logger", "message", "scope")} == {
        "level": "info",
        "logger": "streams.x",
        "message": "killed agent:a",
        "scope": "agent:a",
    }


def test_text_names_the_error_without_a_traceback(root: logging.Logger) -> None:
    stream = io.StringIO()
    set_up("info", "text", stream)

    try:
        raise OSError("no route")
    except OSError:
        logging.getLogger("x").exception("can't reach %s", "kafka")

    assert stream.getvalue().endswith("ERROR   x: can't reach kafka (OSError: no route)\n")
