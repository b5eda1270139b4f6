"""The agents that are at work: what they spend by the minute, what is usual for them, what the judge said last."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from streams.attribution import Payer
from streams.pulse import AgentPulse, Pulse, Scored
from streams.web.runs import Runs
from streams.web.series import Series
from streams.windows import MINUTE_S

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
        self.runs = Runs()
        self._score_of: dict[str, Scored] = {}
        self._cleaned_s = 0.0
        self.now_s = 0.0
        """The latest clock of any shard."""

    def take(self, pulse: Pulse) -> None:
        """Take in what a shard tells."""
        self.now_s = max(self.now_s, pulse.at_s)
        counters = [(lane, start_s // MINUTE_S, spent) for lane, start_s, spent in self._counters(pulse)]
        if counters:
            self.series.put(*zip(*counters, strict=True))
        for scored in pulse.scores:
            self.scores[scored.scope] = scored
            self._score_of[scored.agent] = scored
            if scored.scope.startswith("run:"):
                self.runs.take(scored)
        if self.now_s - self._cleaned_s > 60.0:
            self._forget_idle()

    def _counters(self, pulse: Pulse) -> Iterator[tuple[int, int, int]]:
        for told in pulse.agents:
            agent = self._known(told)
            if agent is None:
                continue
            lane = agent.lanes.get(pulse.shard)
            if lane is None:
                lane = agent.lanes[pulse.shard] = self.series.open()
            agent.last_s = max(agent.last_s, pulse.at_s)
            for start_s, micro_usd in told.minutes.items():
                yield lane, start_s, micro_usd

    def _known(self, told: AgentPulse) -> Agent | None:
        agent = self.known.get(told.agent)
        if agent is None:
            if len(self.known) >= AGENTS_MAX:
                return None
            agent = self.known[told.agent] = Agent(told.agent, told.payer)
        agent.payer = told.payer
        agent.usual_usd_per_min, agent.peak_usd_per_min = told.usual_usd_per_min, told.peak_usd_per_min
        return agent

    def _forget_idle(self) -> None:
        self._cleaned_s = self.now_s
        for name in [name for name, agent in self.known.items() if agent.last_s < self.now_s - IDLE_S]:
            for lane in self.known.pop(name).lanes.values():
                self.series.close(lane)
        self.runs.forget(self.now_s)
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

    def usd_per_min_of(self, names: Iterable[str], now_s: float) -> float:
        """Return what these agents spent together in the minute before `now_s`."""
        rates = self.series.rates(now_s)
        lanes = [lane for name in names if (agent := self.known.get(name)) for lane in agent.lanes.values()]
        return float(rates[lanes].sum()) / 1e6

    def minutes(self, names: Iterable[str], now_s: float, minutes: int) -> list[float]:
        """Return what these agents spent together by minute, oldest first, in dollars."""
        lanes = [lane for name in names if (agent := self.known.get(name)) for lane in agent.lanes.values()]
        return [float(value) / 1e6 for value in self.series.lately(lanes, now_s, minutes)]
