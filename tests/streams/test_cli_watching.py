"""`tail` and `audit` against a broker: what happened is shown once, to people and to programs."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import encode
from typer.testing import CliRunner

from alerts.decision import Action, Decision
from alerts.desk import Audited
from streams.broker import embedded_broker
from streams.cli import app
from streams.cli.common import wait
from streams.outlet import Message, Outlet

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def _levels_as_they_were() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in ("aiokafka", "streams", "alerts")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="module")
def site(_levels_as_they_were: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Path, str]]:
    """An installation in which an agent was killed, a release refused, and the agent released."""
    folder = tmp_path_factory.mktemp("site")
    with embedded_broker() as bootstrap:
        file = folder / "brakeline.yaml"
        file.write_text(
            f"kafka: {{bootstrap: '{bootstrap}', request_timeout_ms: 2000}}\n"
            "topics: {prefix: watched}\nkeys: {dir: keys}\nservice: {data_dir: data}\n"
        )

        def cli(*arguments: str) -> Any:
            return CliRunner().invoke(app, [*arguments, "--config", str(file)])

        assert CliRunner().invoke(app, ["keys", str(folder / "keys")]).exit_code == 0
        assert cli("topics", "--create").exit_code == 0
        assert cli("kill", "agent:a", "--reason", "burning", "--as", "ann").exit_code == 0
        assert cli("release", "agent:a", "--reason", "too soon", "--seq", "99", "--as", "bob").exit_code == 4
        assert cli("release", "agent:a", "--reason", "mended", "--as", "ann").exit_code == 0
        yield cli, file, bootstrap


def test_the_audit_says_who_did_what_and_what_was_refused(site: tuple[Cli, Path, str]) -> None:
    cli, _, _ = site
    lines = [json.loads(line) for line in cli("audit", "--json").output.splitlines()]

    assert [(line["actor"], line["verb"], line["scope"], line["reason"]) for line in lines] == [
        ("user:ann", "kill", "agent:a", "burning"),
        ("user:bob", "release", "agent:a", "too soon"),
        ("user:ann", "release", "agent:a", "mended"),
    ]
    assert [line["outcome"].partition(":")[0] for line in lines] == ["accepted", "refused", "accepted"]
    assert all(line["via"] == "command line" for line in lines)


def test_the_audit_is_filtered(site: tuple[Cli, Path, str]) -> None:
    cli, _, _ = site

    def reasons(*filters: str) -> list[str]:
        return [json.loads(line)["reason"] for line in cli("audit", "--json", *filters).output.splitlines()]

    assert reasons("--actor", "user:b*") == ["too soon"]
    assert reasons("--verb", "kill") == ["burning"]
    assert reasons("--refused") == ["too soon"]
    assert reasons("--scope", "team:*") == []
    assert reasons("--since", "2099-01-01") == []
    assert "user:ann kill agent:a via command line\n    burning" in cli("audit").output
    assert "Nobody did anything" in cli("audit", "--actor", "nobody").output


def test_commands_are_shown_with_who_ordered_them(site: tuple[Cli, Path, str]) -> None:
    cli, _, _ = site
    output = cli("tail", "--since", "1h", "--no-follow", "--only", "commands").output

    assert "killed agent:a (seq 1, epoch 1) by user:ann: burning" in output
    assert "released agent:a (seq 2, epoch 2) by user:ann: mended" in output


def test_a_command_that_nobody_signed_is_shown_as_such(site: tuple[Cli, Path, str]) -> None:
    cli, _, bootstrap = site

    async def forge() -> None:
        async with Outlet({"bootstrap_servers": bootstrap}) as outlet:
            await outlet.send([Message("watched.kills", b"agent:b", b'{"state":"released"}', 0)])

    wait(forge())

    assert "NOT BELIEVED agent:b" in cli("tail", "--since", "1h", "--no-follow").output


def test_decisions_are_shown_by_scope_and_as_json(site: tuple[Cli, Path, str]) -> None:
    cli, _, bootstrap = site

    async def decide() -> None:
        async with Outlet({"bootstrap_servers": bootstrap}) as outlet:
            for scope in ("agent:c", "agent:d"):
                made = Decision(
                    at_s=time.time(), scope=scope, action=Action.WARN, reason="odd", incident_id="i",
                    detector="surge", score=0.4,
                )  # fmt: skip
                await outlet.send([Message("watched.decisions", scope.encode(), encode(made), 0)])

    wait(decide())
    output = cli("tail", "--since", "1h", "--no-follow", "--scope", "agent:c", "--json").output

    (line,) = map(json.loads, output.splitlines())
    assert (line["kind"], line["scope"], line["action"], line["reason"]) == ("decision", "agent:c", "warn", "odd")
    assert "warn agent:d by surge at 0.4: odd" in cli("tail", "--since", "1h", "--no-follow").output


def test_unknown_kinds_and_times_are_wrong_usage(site: tuple[Cli, Path, str]) -> None:
    cli, _, _ = site

    assert cli("tail", "--only", "rumours").exit_code == 2
    assert cli("audit", "--since", "yesterday").exit_code == 2


def test_an_audited_line_has_all_that_a_reader_filters_by() -> None:
    assert {"at_s", "actor", "verb", "scope", "reason", "outcome", "via"} <= set(Audited.__struct_fields__)
