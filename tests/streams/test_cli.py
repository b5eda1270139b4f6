import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.broker import embedded_broker
from streams.cli import app
from streams.cli.common import moment_s

COMMANDS = (
    *(
        "run",
        "demo",
        "kill",
        "release",
        "approve",
        "deny",
        "list",
        "status",
        "tail",
        "audit",
        "backtest",
        "explain",
        "simulate",
        "produce",
    ),
    *("validate", "diff", "explain-config", "schema", "keys", "topics", "doctor", "detectors", "metrics", "bench"),
)
NOWHERE = "127.0.0.1:1"

Cli = Callable[..., Any]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRAKELINE_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with embedded_broker() as bootstrap:
        yield bootstrap


def configured(folder: Path, broker: str, prefix: str) -> Path:
    path = folder / "brakeline.yaml"
    path.write_text(
        f"kafka: {{bootstrap: '{broker}', request_timeout_ms: 2000}}\n"
        f"topics: {{prefix: {prefix}}}\nkeys: {{dir: keys}}\nservice: {{data_dir: data, web_port: 1}}\n"
    )
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    result = cli(command, "--help")

    assert result.exit_code == 0
    assert "Usage" in result.output
    assert len(result.output.splitlines()) > 5


def test_all_commands_and_exit_codes_are_in_the_help(cli: Cli) -> None:
    output = cli("--help").output

    assert all(command in output for command in COMMANDS)
    assert "3 Kafka can't be reached" in output


def test_an_unknown_command_is_wrong_usage(cli: Cli) -> None:
    assert cli("kil", "agent:a").exit_code == 2


def test_a_fine_file_is_fine(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mode: armed\n")

    result = cli("validate", "a.yaml")

    assert result.exit_code == 0
    assert "fine. mode armed" in result.output


def test_a_bad_file_is_said_by_line_without_a_traceback(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mode: arm\npolcy: {}\n")

    result = cli("validate", "a.yaml")

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "brakeline: a.yaml:1: mode: 'arm': must be 'shadow' or 'armed'",
        "a.yaml:2: polcy: unknown key; did you mean policy?",
    ]


def test_any_command_refuses_a_bad_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "brakeline.yaml").write_text("mode: arm\n")

    for command in (["run"], ["list"], ["doctor"], ["topics"], ["backtest", "brakeline.yaml"]):
        result = cli(*command)
        assert (result.exit_code, "brakeline.yaml:1: mode" in result.stderr) == (2, True), command


def test_the_schema_is_json(cli: Cli) -> None:
    assert "policy" in json.loads(cli("schema").stdout)["properties"]


def test_keys_are_made_once_and_private(cli: Cli, tmp_path: Path) -> None:
    first, second = cli("keys", "k"), cli("keys", "k")

    assert first.exit_code == 0
    assert {path.name for path in (tmp_path / "k").iterdir()} == {
        *("detector.key", "approver.key", "commander.key", "trust.json")
    }
    assert (tmp_path / "k" / "detector.key").stat().st_mode & 0o077 == 0
    assert second.exit_code == 2
    assert "is there already" in second.stderr


def test_simulated_events_and_their_truth_are_written(cli: Cli, tmp_path: Path) -> None:
    result = cli("simulate", "--minutes", 5, "--agents", 5, "--runaway", "loop", "-o", "e.jsonl", "--truth", "t.jsonl")

    assert result.exit_code == 0
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    (episode,) = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert f"{len(events):,} events" in result.stderr
    assert episode["agent"] in {event["agent"] for event in events}


def test_simulated_events_can_be_piped(cli: Cli) -> None:
    lines = cli("simulate", "--minutes", 1, "--agents", 3).stdout.splitlines()

    assert lines
    assert all(json.loads(line)["event_id"] for line in lines)


def test_an_unknown_runaway_is_refused_with_the_known_ones(cli: Cli) -> None:
    result = cli("simulate", "--runaway", "lop")

    assert result.exit_code == 2
    assert "lop: no such kind; known: loop" in result.stderr


def test_simulated_runaways_are_found_by_the_backtest(cli: Cli, tmp_path: Path) -> None:
    cli("simulate", "--minutes", 60, "--agents", 10, "--runaway", "retry_storm", "-o", "e.jsonl", "--truth", "t.jsonl")

    result = cli("backtest", "e.jsonl", "--decisions", "-")

    kills = [d for d in map(json.loads, result.stdout.splitlines()) if d["action"] == "kill"]
    episode = json.loads((tmp_path / "t.jsonl").read_text())
    assert result.exit_code == 0
    assert any(kill["scope"].startswith(("run:", f"agent:{episode['agent']}")) for kill in kills)


def test_too_many_false_kills_fail_a_pipeline(cli: Cli) -> None:
    cli("simulate", "--minutes", 60, "--agents", 10, "--runaway", "retry_storm", "-o", "e.jsonl")

    assert cli("backtest", "e.jsonl", "--max-false-kills", 0).exit_code == 1
    assert cli("backtest", "e.jsonl", "--max-false-kills", 1_000).exit_code == 0


def test_a_missing_file_is_wrong_usage(cli: Cli) -> None:
    for command in ("produce", "backtest"):
        assert cli(command, "none.jsonl").exit_code == 2


def test_a_bad_speed_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "e").write_text("")
    assert [cli("produce", "e", "--speed", speed).exit_code for speed in ("fast", "0", "-1", "nan")] == [2] * 4


def test_no_kafka_has_a_code_of_its_own(cli: Cli, tmp_path: Path) -> None:
    config = configured(tmp_path, NOWHERE, "brakeline")
    cli("keys", "keys")
    (tmp_path / "e").write_text("")

    for command in (["list"], ["status"], ["kill", "agent:a", "-r", "x"], ["topics"], ["produce", "e"], ["doctor"]):
        result = cli(*command, "--config", config)
        assert result.exit_code == 3, (command, result.output)
        assert "Traceback" not in result.output


def test_without_keys_nothing_is_signed_or_made(cli: Cli, tmp_path: Path) -> None:
    result = cli("kill", "agent:a", "-r", "x")

    assert result.exit_code == 2
    assert "run `brakeline keys`" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_kill_is_listed_and_released_without_the_service(cli: Cli, tmp_path: Path, broker: str) -> None:
    configured(tmp_path, broker, "by-hand")
    cli("keys", "keys")
    cli("topics", "--create")

    killed = cli("kill", "agent:a", "--reason", "it loops", "--as", "ann", "--minutes", 5)
    listed = cli("list", "--json")
    stale = cli("release", "agent:a", "-r", "fine", "--seq", 7)
    released = cli("release", "agent:a", "-r", "fine")
    again = cli("release", "agent:a", "-r", "fine")

    assert (killed.exit_code, "agent:a is killed (seq 1" in killed.stdout) == (0, True), killed.output
    (row,) = json.loads(listed.stdout)
    assert (row["reason"], row["actor"], row["gateways"]) == ("it loops", "user:ann", 0)
    assert (stale.exit_code, "seq 1" in stale.stderr) == (4, True)
    assert (released.exit_code, "agent:a is released (seq 2" in released.stdout) == (0, True), released.output
    assert (again.exit_code, "nothing is in force" in again.stderr) == (4, True)
    assert "Nothing is in force." in cli("list").stdout


def test_a_scope_that_is_none_is_refused(cli: Cli, tmp_path: Path, broker: str) -> None:
    configured(tmp_path, broker, "by-hand")
    cli("keys", "keys")

    result = cli("kill", "coder-7", "-r", "x")

    assert result.exit_code == 4
    assert "coder-7" in result.stderr


def test_topics_are_created_once(cli: Cli, tmp_path: Path, broker: str) -> None:
    configured(tmp_path, broker, "fresh")

    missing, created, there = cli("topics"), cli("topics", "--create"), cli("topics")

    assert missing.exit_code == 1
    assert "fresh.kills does not exist" in missing.stdout
    assert "created fresh.kills" in created.stdout
    assert "does not exist" not in there.stdout


def test_a_produced_file_is_counted(cli: Cli, tmp_path: Path, broker: str) -> None:
    cli("simulate", "--minutes", 2, "--agents", 5, "-o", "e.jsonl")
    number = len((tmp_path / "e.jsonl").read_text().splitlines())

    result = cli("produce", "e.jsonl", "--speed", "max", "--retime", "--broker", broker, "--topic", "t")

    assert result.exit_code == 0, result.output
    assert f"{number:,} records into t" in result.stderr


def test_the_detectors_and_metrics_are_documented(cli: Cli) -> None:
    assert "## surge" in cli("detectors").stdout
    assert cli("detectors", "surges").exit_code == 2
    assert "brakeline_events_consumed_total" in cli("metrics").stdout


def test_times_are_read_as_people_write_them() -> None:
    assert moment_s("2026-01-31T12:00:00Z") == moment_s("2026-01-31T12:00") == moment_s("1769860800")


def test_figures_are_printed_for_people_and_for_pipelines(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("streams.bench.guard")
    module.guard = lambda: {"n": 12_345, "p50_us": 1.5, "by_kind": {"kill": 2}}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "streams.bench.guard", module)

    assert json.loads(cli("bench", "guard", "--json").stdout) == module.guard()
    lines = [line.split(maxsplit=1) for line in cli("bench", "guard").stdout.splitlines()]
    assert [name for name, _ in lines] == ["n", "p50_us", "by_kind"]
    assert lines[1][1] == "1.5"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--once", "--run"), "choose one of --once, --run and --for"),
        (("--for", "soon"), "write a span of up to 7d, such as 30m or 1h"),
        (("--for", "8d"), "write a span of up to 7d"),
    ],
)
def test_an_approval_says_for_what_it_is(cli: Cli, options: tuple[str, ...], said: str) -> None:
    result = cli("approve", "161ddc8e77c4642e", *options, "--reason", "r")

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_what_no_gateway_asks_for_is_not_decided(cli: Cli, tmp_path: Path, broker: str, command: str) -> None:
    configured(tmp_path, broker, f"gates-{command}")
    assert cli("keys", "keys").exit_code == 0
    assert cli("topics", "--create").exit_code == 0

    result = cli(command, "161ddc8e77c4642e", "--reason", "r")

    assert result.exit_code == 4, result.output
    assert "no gateway has asked for that" in result.stderr
