"""What a customer may set of the judgement."""

from math import log

from msgspec import Struct

from detectors.ceiling import Ceiling, RunCeiling
from detectors.contract import Detector
from detectors.drift import Drift
from detectors.echo import Echo
from detectors.errors import Errors
from detectors.fanout import Fanout
from detectors.limits import Limit
from detectors.loop import Loop
from detectors.price import Price
from detectors.snowball import Snowball
from detectors.stall import Stall
from detectors.surge import Surge
from detectors.team import TeamRise
from detectors.tempo import Tempo

_AT_BAR_1 = 2.2
"""False kills a 1,000 agent-days at the detectors' own bars, measured on real traffic."""
_FEWER_BY_BAR = 9.0
"""How fast they get fewer as the bar rises: e to the power of this for each whole bar."""


class JudgeParameters(Struct, frozen=True, kw_only=True):
    """What a customer may set.

    The three ceilings hold for all agents, runs and teams; `limits` for those that a glob names.
    `false_kills_per_1000_agent_days` is the budget from which the bar follows: on 45 workloads of real
    traffic, 36,019 agent-days, a budget of 1 came to 1.3. `together` says how detectors add up: 1 sums their scores,
    a large number takes the highest.
    """

    false_kills_per_1000_agent_days: float = 1.0
    agent_ceiling: Ceiling = Ceiling()
    run_ceiling: RunCeiling = RunCeiling()
    team_ceiling: Ceiling = Ceiling()
    limits: tuple[Limit, ...] = ()
    loop: Loop | None = Loop()
    tempo: Tempo | None = Tempo()
    surge: Surge | None = Surge()
    stall: Stall | None = Stall()
    snowball: Snowball | None = Snowball()
    errors: Errors | None = Errors()
    price: Price | None = Price()
    fanout: Fanout | None = Fanout()
    drift: Drift | None = Drift()
    echo: Echo | None = Echo()
    team_rise: TeamRise | None = TeamRise()
    together: float = 1.5

    @property
    def bar(self) -> float:
        """Return by how much a score must pass the detectors' own bars for a kill."""
        return bar_of(self.false_kills_per_1000_agent_days)

    def by_call(self) -> dict[str, Detector | None]:
        """Return the detectors that look at every call, in the order in which they build on one another."""
        return {
            "loop": self.loop,
            "tempo": self.tempo,
            "surge": self.surge,
            "stall": self.stall,  # Works out the pace and erratic steps of runs for the next ones.
            "snowball": self.snowball,
            "errors": self.errors,
            "price": self.price,
            "fanout": self.fanout,
            "drift": self.drift,
            "echo": self.echo,
        }


def bar_of(false_kills_per_1000_agent_days: float) -> float:
    """Return by how much a score must pass the detectors' own bars to keep to a budget.

    >>> bar_of(0.1) > bar_of(1.0) > bar_of(5.0)
    True
    """
    budget = max(1e-3, false_kills_per_1000_agent_days)
    return max(0.8, min(2.0, 1.0 + log(_AT_BAR_1 / budget) / _FEWER_BY_BAR))
