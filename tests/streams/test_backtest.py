"""A backtest of a made-up fleet: decisions as JSON lines, a report, and the comparison with other settings."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from streams.backtest import Planned, Sink, false_kills, run
from streams.report import write_report
from streams.settings import Settings
from streams.simulate import Plan, simulate

LIMIT = Settings.model_validate({"limits": [{"scope": "agent:*", "usd": 0.05, "per": "hour"}]})


def lines() -> bytes:
    plan = Plan(seed=3, agents=6, minutes=120.0, runaways=("loop",), pace=0.5)
    return b"\n".join(json.dumps(each.event).encode() for each in simulate(plan))


def test_decisions_are_json_lines_and_the_report_shows_each_kill(tmp_path: Path) -> None:
    events, out = tmp_path / "events.jsonl", tmp_path / "decisions.jsonl"
    events.write_bytes(lines())
    sink = Sink(str(out))

    outcome = run(LIMIT, str(events), sink, remember=True)
    sink.close()

    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert outcome.kills
    assert {"ts", "scope", "action", "detector", "score", "reason", "incident_id"} <= set(written[0])
    page = write_report(tmp_path / "report", outcome, None).read_text()
    assert all(kill.scope in page for kill in outcome.kills)
    assert (tmp_path / "report" / f"{outcome.kills[0].incident_id}.png").stat().st_size > 1000


def test_compressed_files_give_the_same(tmp_path: Path) -> None:
    plain, zipped, squeezed = tmp_path / "e.jsonl", tmp_path / "e.jsonl.gz", tmp_path / "e.jsonl.zst"
    plain.write_bytes(lines())
    zipped.write_bytes(gzip.compress(lines()))
    squeezed.write_bytes(zstandard.compress(lines()))

    found = [run(LIMIT, str(path), Sink(None)).kills for path in (plain, zipped, squeezed)]

    assert found[0] == found[1] == found[2]


def test_shadow_mode_is_backtested_as_if_armed(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(lines())

    assert not any(kill.shadow for kill in run(LIMIT, str(events), Sink(None)).kills)


def test_a_kill_in_a_planned_period_is_false(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(lines())
    kills = run(LIMIT, str(events), Sink(None)).kills

    assert false_kills(kills, [Planned(0.0, 1e12)]) == kills
    assert false_kills(kills, [Planned(0.0, 1e12, ("nobody",))]) == []


@pytest.mark.parametrize("spoilt", [b"", b'{"event_id": "no-agent", "ts": 1.0, "agent": ""}\n'])
def test_an_agent_with_its_sub_agents_counts_once_for_each_day_on_which_it_called(
    tmp_path: Path, spoilt: bytes
) -> None:
    path = tmp_path / "days.jsonl"
    with path.open("wb") as out:
        for n, (day, agent) in enumerate([(0, "a"), (0, "a/sub1"), (0, "b"), (1, "a"), (3, "b"), (3, "b")]):
            at_s = 1_772_409_600.0 + 86_400 * day + n
            event = {"event_id": f"e{n}", "ts": at_s, "agent": agent, "model": "gpt-4o"}
            out.write(json.dumps(event | {"input_tokens": 9, "output_tokens": 9}).encode() + b"\n" + spoilt)

    assert run(Settings(), str(path), Sink(None)).agent_days == 4
