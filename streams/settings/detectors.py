"""The detectors that the settings ask for: their names and parameters against the registry."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import inf
from typing import Any

import msgspec

from detectors.registry import DETECTORS
from streams.settings.document import Path
from streams.settings.problems import nearest
from streams.settings.root import Parameters

ENABLED = "enabled"
OFF_AT_ZERO = frozenset(
    {
        *("high_days_per_1000", "forget", "burst_forget", "accumulating", "learn_below_nats", "bar_nats_per_log_rate"),
        *("calls_min", "hours_min", "members_min", "accept_calls", "accept_s", "children_free", "learn_after_s"),
        *("slow_nats_max", "lasting_nats_max", "small_tokens"),
    }
)
"""Parameters that switch a part off when they are 0. A limit may be 0, too: nothing is let through then. Others are
what something is divided by, or its logarithm."""


def build(overrides: Mapping[str, Parameters]) -> dict[str, Any]:
    """Return every detector that isn't switched off, with its parameters; `overrides` have passed `mistakes`."""
    return {
        name: _made(kind, overrides.get(name, {}))
        for name, kind in DETECTORS.items()
        if overrides.get(name, {}).get(ENABLED, True)
    }


def mistakes(overrides: Mapping[str, Parameters]) -> Iterator[tuple[Path, str]]:
    """Yield where an unknown detector, an unknown parameter or an unusable value stands, and the mend."""
    for name, given in overrides.items():
        kind = DETECTORS.get(name)
        if kind is None:
            yield ("detectors", name), f"no such detector; {nearest(name, DETECTORS)}"
            continue
        types = {field.name: field.type for field in fields(kind)}
        limits = {field.name for field in fields(kind) if field.default is None}
        for parameter, value in given.items():
            path = ("detectors", name, parameter)
            wanted: Any = bool if parameter == ENABLED else types.get(parameter)
            if wanted is None:
                yield path, f"no such parameter; {nearest(parameter, [*types, ENABLED])}"
            else:
                yield from _unusable(path, value, wanted, may_be_zero=parameter in limits | OFF_AT_ZERO)


def _unusable(path: Path, value: Any, wanted: Any, *, may_be_zero: bool) -> Iterator[tuple[Path, str]]:
    try:
        number = msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        yield path, f"{value!r}: {str(error).lower()}"
        return
    if isinstance(number, bool) or not isinstance(number, int | float):
        return
    if may_be_zero:
        if not 0 <= number < inf:
            yield path, f"{value!r}: expected a number of at least 0"
    elif not 0 < number < inf:
        yield path, f"{value!r}: expected a number above 0; `{ENABLED}: false` switches {path[1]} off"


def _made(kind: type[Any], given: Parameters) -> Any:
    types = {field.name: field.type for field in fields(kind)}
    return kind(**{name: msgspec.convert(value, types[name]) for name, value in given.items() if name != ENABLED})
