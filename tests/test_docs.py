"""What the README shows is true: its event is accepted, its settings are valid, its commands exist."""

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from streams.cli import app
from streams.events import TokenEvent, decode
from streams.settings import load

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_event_in_the_readme_is_accepted() -> None:
    for block in blocks("json"):
        assert json.loads(block)
        assert isinstance(decode(block.strip().encode())[0], TokenEvent)


def test_the_settings_in_the_readme_are_valid(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert load(path, environ={}).kafka.bootstrap


def test_the_commands_in_the_readme_exist() -> None:
    named = set(re.findall(r"^ {4}brakeline ([a-z-]+)", README, re.MULTILINE))

    for name in named:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name
