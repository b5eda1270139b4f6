"""The numbers behind a score, in words, from events of a file."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app

START_S = 1_772_409_600.0
DAY_S = 86_400.0


def event(n: int, at_s: float, **fields: Any) -> str:
    random = Random(n)
    usual = {
        "event_id": f"e{n}", "ts": at_s, "ingest_ts": at_s, "agent": "coder-7", "team": "growth", "model": "gpt-4o",
        "input_tokens": int(random.lognormvariate(7.5, 0.8)) + 20,
        "output_tokens": int(random.lognormvariate(5.3, 0.8)) + 5, "run_id": f"r{n}", "status": "ok",
    }  # fmt: skip
    return json.dumps(usual | fields)


@pytest.fixture
def events(tmp_path: Path) -> str:
    """Three quiet days and then the same call every three seconds."""
    quiet = [event(n, START_S + 120.0 * n + 60 * Random(-n).random()) for n in range(2160)]
    stuck = {"input_tokens": 9000, "output_tokens": 150, "run_id": "stuck"}
    loop = [event(5000 + n, START_S + 3 * DAY_S + 3.0 * n, step=n, **stuck) for n in range(60)]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([*quiet, *loop]))
    return str(path)


def explained(*words: str) -> str:
    found = CliRunner().invoke(app, ["explain", *words])
    assert found.exit_code == 0, found.output
    return found.output


def test_it_says_what_was_seen_which_detector_spoke_and_which_floors_hold(events: str) -> None:
    said = explained("agent:coder-7", "--events", events)

    assert "(agent coder-7, team growth)" in said
    assert re.search(r"run:stuck loop [1-9]\.\d\d: ", said)
    assert re.search(r"each: loop 0\.\d\d, .*echo 0\.\d\d", said)
    assert "about 9,000 tokens in and 150 out" in said
    assert "the bars: alert at" in said
    assert "floors: " in said
    assert "where it stands: nothing in force\n  run:stuck: kill" in said


def test_it_says_by_how_much_bars_follow_what_agents_here_do(events: str) -> None:
    assert "to them in 3 agent-days: the detectors' own" in explained("agent:coder-7", "--events", events)


def test_before_the_loop_all_was_as_usual(events: str) -> None:
    said = explained("agent:coder-7", "--events", events, "--at", str(START_S + 2.5 * DAY_S))

    assert "no detector has said anything: all is as usual" in said


def test_a_scope_of_which_there_is_no_event_is_said_with_how_to_write_one(events: str) -> None:
    found = CliRunner().invoke(app, ["explain", "coder-7", "--events", events])

    assert found.exit_code == 2
    assert "agent:NAME or run:ID" in found.output


def test_of_a_file_the_settings_secrets_are_not_needed(events: str, tmp_path: Path) -> None:
    config = tmp_path / "brakeline.yaml"
    config.write_text("slack: {token: '${NOT_SET_ANYWHERE}', channel: C1}\n")

    assert "coder-7" in explained("agent:coder-7", "--events", events, "--config", str(config))
