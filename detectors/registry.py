"""All detectors by name, with their parameters and documentation."""

import inspect

from msgspec import Struct
from msgspec.structs import fields

from detectors.ceiling import Ceiling, RunCeiling
from detectors.surge import Surge

DETECTORS: dict[str, type[Struct]] = {kind.name: kind for kind in (Ceiling, RunCeiling, Surge)}


def describe(name: str) -> str:
    """Return a detector's documentation as Markdown: what it catches, what fools it, its parameters.

    >>> "breach_sigmas" in describe("surge")
    True
    """
    kind = DETECTORS[name]
    rows = [f"| `{f.name}` | {f.default!r} |" for f in fields(kind)]
    table = "\n".join(["| parameter | default |", "| --- | --- |", *rows])
    return f"## {name}\n\n{inspect.getdoc(kind)}\n\n{table}\n"
