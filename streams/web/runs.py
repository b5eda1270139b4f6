"""The runs that the judge spoke of lately: whose they are, and what they spend by the minute."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from alerts.obedience import Disobedience
from streams.pulse import Scored
from streams.windows import MINUTE_S

RUNS_MAX = 2_000
KEEP_S = 900.0
POINTS_MAX = 240
APART_S = 10.0
"""Between two points that are kept of a run's spend."""


class Run(Struct):
    """One run and its sub-runs; `at_s` and `spent` are the course of its spend in dollars, from its beginning on."""

    agent: str
    at_s: list[float]
    spent: list[float]
    before_usd: float = 0.0
    """What it had spent before calls got through that were seen after it was stopped."""
    leaks: int = 0
    """How many they are."""


class Runs:
    """At most `RUNS_MAX`, each until the judge has said nothing of it for a quarter of an hour."""

    def __init__(self) -> None:
        self.known: dict[str, Run] = {}

    def take(self, scored: Scored) -> None:
        """Take in what the judge said of a run; of more than the bound those it spoke of longest ago give way."""
        name = scored.scope.removeprefix("run:")
        run = self.known.pop(name, None) or Run(scored.agent, [scored.began_s or scored.at_s], [0.0])
        self.known[name] = run
        if len(run.at_s) > 2 and scored.at_s - run.at_s[-2] < APART_S:
            del run.at_s[-1], run.spent[-1]
        run.at_s.append(max(scored.at_s, run.at_s[-1]))
        run.spent.append(max(scored.spend_usd, run.spent[-1]))
        self._bound(run)

    def leaked(self, seen: Disobedience) -> None:
        """Take in what a run spent after it was stopped: the judge no longer speaks of it."""
        name = seen.scope.removeprefix("run:")
        run = self.known.pop(name, None) or Run(seen.agent, [seen.at_s - MINUTE_S], [0.0])
        self.known[name] = run
        if seen.calls <= run.leaks or not run.leaks:
            run.before_usd = run.spent[-1]
        run.leaks = seen.calls
        run.at_s.append(max(seen.at_s, run.at_s[-1]))
        run.spent.append(max(run.before_usd + seen.spend_usd, run.spent[-1]))
        self._bound(run)

    def _bound(self, run: Run) -> None:
        del run.at_s[1 : len(run.at_s) - POINTS_MAX + 1], run.spent[1 : len(run.spent) - POINTS_MAX + 1]
        while len(self.known) > RUNS_MAX:
            del self.known[next(iter(self.known))]

    def forget(self, now_s: float) -> None:
        """Drop those of which nothing was said lately."""
        for name in [name for name, run in self.known.items() if run.at_s[-1] < now_s - KEEP_S]:
            del self.known[name]

    def usd_per_min(self, name: str, now_s: float) -> float:
        """Return what a run spent in the minute before `now_s`; a guess where the judge spoke less often."""
        return self.by_minute(name, (now_s - MINUTE_S, now_s))[0]

    def lately(self, name: str, now_s: float, minutes: int) -> tuple[float, ...]:
        """Return what a run spent in each of the last minutes, oldest first, in dollars."""
        return self.by_minute(name, [now_s - MINUTE_S * ago for ago in range(minutes, -1, -1)])

    def by_minute(self, name: str, bounds: Iterable[float]) -> tuple[float, ...]:
        """Return what a run spent between one time and the next."""
        run, times = self.known.get(name), list(bounds)
        if run is None:
            return (0.0,) * (len(times) - 1)
        return tuple(np.diff(np.interp(times, run.at_s, run.spent)).tolist())
