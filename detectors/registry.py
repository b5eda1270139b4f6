"""All detectors by name, with their parameters and documentation."""

import ast
import pkgutil
from dataclasses import fields
from inspect import cleandoc
from typing import Any

from detectors.ceiling import Ceiling, RunCeiling
from detectors.drift import Drift
from detectors.echo import Echo
from detectors.errors import Errors
from detectors.fanout import Fanout
from detectors.loop import Loop
from detectors.price import Price
from detectors.snowball import Snowball
from detectors.stall import Stall
from detectors.surge import Surge
from detectors.team import TeamRise
from detectors.tempo import Tempo

DETECTORS: dict[str, type[Any]] = {
    "ceiling": Ceiling,
    "run_ceiling": RunCeiling,
    "loop": Loop,
    "echo": Echo,
    "stall": Stall,
    "snowball": Snowball,
    "fanout": Fanout,
    "errors": Errors,
    "price": Price,
    "surge": Surge,
    "tempo": Tempo,
    "drift": Drift,
    "team_rise": TeamRise,
}


def describe(name: str) -> str:
    """Return a detector's documentation as Markdown: what it catches, what fools it, its parameters.

    >>> "breach_sigmas" in describe("surge")
    True
    """
    kind = DETECTORS[name]
    rows = [f"| `{f.name}` | {f.default!r} |" for f in fields(kind)]
    table = "\n".join(["| parameter | default |", "| --- | --- |", *rows])
    return f"## {name}\n\n{documentation(kind)}\n\n{table}\n"


def documentation(kind: type[Any]) -> str:
    """Read a class's docstring from its source: a compiled class has none."""
    package, _, module = kind.__module__.rpartition(".")
    tree = ast.parse(pkgutil.get_data(package, f"{module}.py") or b"")
    named = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    return cleandoc(next((ast.get_docstring(node) for node in named), None) or "")
