"""The compiled core decides as the plain one does, and never hides a source that has changed."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from zlib import crc32

import pytest

from detectors.judge import compiled

ROOT = Path(__file__).parents[1]


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def brakeline(*arguments: str, native: str = "1") -> str:
    command = [sys.executable, "-m", "streams.cli", *arguments]
    run = subprocess.run(command, env=os.environ | {"BRAKELINE_NATIVE": native}, capture_output=True, check=True)
    return run.stdout.decode()


@pytest.mark.skipif(os.environ.get("BRAKELINE_REQUIRE_NATIVE") != "1", reason="plain Python is fine outside of CI")
def test_the_core_is_compiled_in_ci() -> None:
    assert compiled()


@pytest.mark.skipif(not compiled(), reason="the core is not compiled: make compile")
def test_decisions_are_the_same_compiled_or_not(tmp_path: Path) -> None:
    events = str(tmp_path / "events.jsonl")
    brakeline("simulate", "--out", events, "--minutes", "240", "--runaway", "all", "--lookalike", "all", "--seed", "3")
    fast = brakeline("backtest", events, "--decisions", "-")
    plain = brakeline("backtest", events, "--decisions", "-", native="0")

    assert len(fast.splitlines()) > 8
    assert fast == plain


@pytest.mark.parametrize(("edited", "found"), [(False, True), (True, False)])
def test_a_source_that_changed_runs_itself_with_all_the_others(tmp_path: Path, edited: bool, found: bool) -> None:
    lines = []
    for name in ("a", "b"):
        source = tmp_path / f"{name}.py"
        source.write_text("x = 1\n")
        lines.append(f"detectors.{name}\t{tmp_path / name}.so\t{source}\t{crc32(source.read_bytes())}")
    (tmp_path / "manifest").write_text("\n".join(lines))
    if edited:
        (tmp_path / "b.py").write_text("x = 2\n")
    finder = load(ROOT / "native/brakeline_native.py").NativeFinder(str(tmp_path))

    assert (finder.find_spec("detectors.a") is not None) is found


def test_every_part_of_the_judgement_is_compiled() -> None:
    """A new detector joins by its name in the list; what is left out has a reason."""
    rare = {"__init__", "ceiling", "limits", "parameters", "registry", "series", "series_novelty"}
    native = load(ROOT / "native/build.py").NATIVE

    assert {Path(name).stem for name in native if name.startswith("detectors/")} | rare == {
        path.stem for path in (ROOT / "detectors").glob("*.py")
    }
