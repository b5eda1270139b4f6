"""Which ceilings hold for a scope: the customer's limits by glob, the tightest of each measure."""

from collections.abc import Iterable
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from msgspec import Struct

from detectors.ceiling import Ceiling, RunCeiling

KNOWN_MAX = 10_000

Limits = TypeVar("Limits", Ceiling, RunCeiling)


class Limit(Struct, frozen=True):
    """One limit: the glob `scope` over `kind:id`, and what it sets.

    `run` holds for the runs that the glob matches, and for the runs of the agents and teams that it matches.
    """

    scope: str
    ceiling: Ceiling = Ceiling()
    run: RunCeiling = RunCeiling()


def tightest(first: Limits, others: Iterable[Limits]) -> Limits:
    """Return the lowest of each measure that any of them sets.

    >>> tightest(RunCeiling(steps=5), [RunCeiling(steps=9, usd=1.0)])
    RunCeiling(steps=5, usd=1.0, tokens=None, input_tokens=None, wall_s=None, depth=None)
    """
    every = [first, *others]
    lowest = {}
    for name in (field.name for field in fields(first)):
        values = [value for each in every if (value := getattr(each, name)) is not None]
        lowest[name] = min(values, default=None)
    return replace(first, **lowest)


class LimitBook:
    """Answers which ceiling holds; answers are remembered, 10,000 of a kind at most."""

    def __init__(self, limits: tuple[Limit, ...], run: RunCeiling) -> None:
        self._limits = limits
        self._run = run
        self._scopes: dict[str, Ceiling] = {}
        self._runs: dict[tuple[str, str, str], RunCeiling] = {}

    def of(self, scope: str, base: Ceiling) -> Ceiling:
        """Return the ceiling of an agent or team; `base` holds for all of its kind."""
        found = self._scopes.get(scope)
        if found is None:
            found = tightest(base, (limit.ceiling for limit in self._matching(scope)))
            _remember(self._scopes, scope, found)
        return found

    def of_run(self, run: str, agent: str, team: str) -> RunCeiling:
        """Return the ceiling of a run of that agent and team."""
        key = (run, agent, team)
        found = self._runs.get(key)
        if found is None:
            scopes = (f"run:{run}", f"agent:{agent}", f"team:{team}")
            found = tightest(self._run, (limit.run for limit in self._matching(*scopes)))
            _remember(self._runs, key, found)
        return found

    def _matching(self, *scopes: str) -> list[Limit]:
        return [each for each in self._limits if any(fnmatchcase(scope, each.scope) for scope in scopes)]


Key = TypeVar("Key")
Held = TypeVar("Held")


def _remember(table: dict[Key, Held], key: Key, value: Held) -> None:
    if len(table) >= KNOWN_MAX:
        table.clear()
    table[key] = value
