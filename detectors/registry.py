"""All detectors by name, with their parameters and documentation."""

import inspect

from msgspec import Struct
from msgspec.structs import fields

from detectors.ceiling import Ceiling, RunCeiling
from detectors.drift import Drift
from detectors.errors import Errors
from detectors.fanout import Fanout
from detectors.loop import Loop
from detectors.price import Price
from detectors.snowball import Snowball
from detectors.stall import Stall
from detectors.surge import Surge
from detectors.team import TeamRise
from detectors.tempo import Tempo

_KINDS = (Ceiling, RunCeiling, Loop, Stall, Snowball, Fanout, Errors, Price, Surge, Tempo, Drift, TeamRise)
DETECTORS: dict[str, type[Struct]] = {kind.name: kind for kind in _KINDS}


def describe(name: str) -> str:
    """Return a detector's documentation as Markdown: what it catches, what fools it, its parameters.

    >>> "breach_sigmas" in describe("surge")
    True
    """
    kind = DETECTORS[name]
    rows = [f"| `{f.name}` | {f.default!r} |" for f in fields(kind)]
    table = "\n".join(["| parameter | default |", "| --- | --- |", *rows])
    return f"## {name}\n\n{inspect.getdoc(kind)}\n\n{table}\n"
