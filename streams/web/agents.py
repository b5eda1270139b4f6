"""The agents that are at work: what they spend by the minute, what is usual for them, what the judge said last."""

from collections.abc import Iterable

from msgspec import Struct, field

from streams.attribution import Payer
from streams.pulse import AgentPulse, Pulse, Scored
from streams.web.series import Series

IDLE_S = 3_600.0
SCORE_S = 900.0
"""How long the judge's last word on a scope is shown."""
AGENTS_MAX = 200_000


class Agent(Struct):
    """One agent; it has a lane of the series for each shard that it was seen in."""

    name: str
    payer: Payer
    usual_usd_per_min: float = 0.0
    peak_usd_per_min: float = 0.0
    last_s: float = 0.0
    lanes: dict[str, int] = field(default_factory=dict)


class Agents:
    """Everybody who called within the last hour, at most `AGENTS_MAX`."""

    def __init__(self) -> None:
        self.series = Series()
        self.known: dict[str, Agent] = {}
        self.scores: dict[str, Scored] = {}
        """By scope."""
        self._score_of: dict[str, Scored] = {}
        self._cleaned_s = 0.0
        self.now_s = 0.0
        """The latest clock of any shard."""

    def take(self, pulse: Pulse) -> None:
        """Take in what a shard tells."""
        self.now_s = max(self.now_s, pulse.at_s)
        for told in pulse.agents:
            self._put(pulse.shard, told, pulse.at_s)
        for scored in pulse.scores:
            self.scores[scored.scope] = scored
            self._score_of[scored.agent] = scored
        if self.now_s - self._cleaned_s > 60.0:
            self._forget_idle()

    def _put(self, shard: str, told: AgentPulse, at_s: float) -> None:
        agent = self.known.get(told.agent)
        if agent is None:
            if len(self.known) >= AGENTS_MAX:
                return
            agent = self.known[told.agent] = Agent(told.agent, told.payer)
        lane = agent.lanes.get(shard)
        if lane is None:
            lane = agent.lanes[shard] = self.series.open()
        agent.payer = told.payer
        agent.last_s = max(agent.last_s, at_s)
        agent.usual_usd_per_min, agent.peak_usd_per_min = told.usual_usd_per_min, told.peak_usd_per_min
        for start_s, micro_usd in told.minutes.items():
            self.series.put(lane, start_s, micro_usd)

    def _forget_idle(self) -> None:
        self._cleaned_s = self.now_s
        for name in [name for name, agent in self.known.items() if agent.last_s < self.now_s - IDLE_S]:
            for lane in self.known.pop(name).lanes.values():
                self.series.close(lane)
        for scores in (self.scores, self._score_of):
            for key in [key for key, score in scores.items() if score.at_s < self.now_s - SCORE_S]:
                del scores[key]

    def score(self, name: str) -> Scored | None:
        """Return what the judge said of an agent or its runs lately."""
        scored = self._score_of.get(name)
        return scored if scored is not None and scored.at_s > self.now_s - SCORE_S else None

    def usd_per_min(self, now_s: float) -> dict[str, float]:
        """Return what each agent spent in the minute before `now_s`."""
        rates = (self.series.rates(now_s) / 1e6).tolist()
        return {name: sum(rates[lane] for lane in agent.lanes.values()) for name, agent in self.known.items()}

    def minutes(self, names: Iterable[str], now_s: float, minutes: int) -> list[float]:
        """Return what these agents spent together by minute, oldest first, in dollars."""
        lanes = [lane for name in names if (agent := self.known.get(name)) for lane in agent.lanes.values()]
        return [float(value) / 1e6 for value in self.series.lately(lanes, now_s, minutes)]
