"""What the README and the docstrings show is true: events are accepted, commands exist, examples give what they say."""

import ast
import json
import re
from collections.abc import Iterator
from doctest import DocTest, DocTestParser, DocTestRunner
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.events import TokenEvent, decode
from streams.settings import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SOURCES = [path for name in ("detectors", "alerts", "streams") for path in sorted((ROOT / name).rglob("*.py"))]
WITH_EXAMPLES = [path for path in SOURCES if ">>> " in path.read_text()]


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


def examples(path: Path) -> Iterator[DocTest]:
    """Yield the examples of a source; compiled functions have no docstrings, so they are read from it."""
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name, line = getattr(node, "name", path.stem), getattr(node, "lineno", 1)
            found = DocTestParser().get_doctest(ast.get_docstring(node) or "", vars(module), name, str(path), line)
            if found.examples:
                yield found


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_examples_in_a_file_give_what_they_say(path: Path) -> None:
    told: list[str] = []
    results = [DocTestRunner().run(found, out=told.append) for found in examples(path)]

    assert results
    assert sum(result.failed for result in results) == 0, "".join(told)
