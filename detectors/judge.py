"""All detectors over one shard's calls, and the one verdict that they come to."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, msgpack

from detectors.ceiling import Ceiling, CeilingMemory, Limit, limits_of, over
from detectors.contract import CALM, Call, Score, TeamMinute
from detectors.surge import Surge, SurgeMemory

RUNS_KEPT = 64
RUN_IDLE_S = 3600.0


class Verdict(Struct, frozen=True, kw_only=True):
    """What the judge says of a scope: 1.0 justifies a kill, 0.5 suspicion, 0.3 an alert."""

    scope: str
    detector: str
    value: float
    reason: str
    window_start_s: float
    alert_only: bool = False
    sure: bool = False
    says: dict[str, float] = {}
    run: str = ""
    seen_usd_per_min: float = 0.0
    usual_usd_per_min: float = 0.0


class RunMemory(Struct, array_like=True, gc=False):
    """One open run of an agent."""

    last_s: float = 0.0
    calls: int = 0
    tokens: int = 0
    micro_usd: int = 0
    depth: int = 0


class AgentMemory(Struct, array_like=True):
    """What the judge knows of one agent."""

    surge: SurgeMemory
    ceiling: CeilingMemory
    runs: dict[str, RunMemory]
    first_s: float = 0.0
    last_s: float = 0.0
    barred_until_s: float = 0.0


class TeamMemory(Struct, array_like=True):
    """What the judge knows of one team."""

    ceiling: CeilingMemory = CeilingMemory()


class JudgeParameters(Struct, frozen=True, kw_only=True):
    """All parameters: one detector each, and the customer's limits."""

    surge: Surge = Surge()
    limits: tuple[Limit, ...] = ()


class JudgeState:
    """The judge's rows of one shard, and which of them changed."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentMemory] = {}
        self.touched: set[tuple[str, str]] = set()

    def evict(self, now_s: float, idle_s: float = 30 * 86_400.0) -> None:
        """Forget agents that were silent for `idle_s`, and runs that ended."""
        for name in [n for n, m in self.agents.items() if m.last_s < now_s - idle_s and m.barred_until_s < now_s]:
            del self.agents[name]
            self.touched.add(("agents", name))

    def drain(self) -> dict[tuple[str, str], bytes | None]:
        """Return the rows changed since the last call; None for one that is gone."""
        rows = {}
        for table, key in self.touched:
            memory = self.agents.get(key)
            rows[table, key] = None if memory is None else msgpack.encode(memory)
        self.touched.clear()
        return rows

    def restore(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Take rows back."""
        for _, key, value in rows:
            self.agents[key] = msgpack.decode(value, type=AgentMemory)


class Judge:
    """Pure: state and call in, verdicts out, state moved on."""

    def __init__(self, parameters: JudgeParameters) -> None:
        self._parameters = parameters
        self._ceilings: dict[str, Ceiling] = {}

    def step(self, state: JudgeState, call: Call) -> Sequence[Verdict]:
        """Judge one call."""
        memory = state.agents.get(call.agent)
        if memory is None:
            memory = self._begin(call)
            state.agents[call.agent] = memory
        state.touched.add(("agents", call.agent))
        memory.last_s = call.now_s
        run = self._run(state, memory, call)
        if call.now_s < memory.barred_until_s:
            return ()
        ceiling = self._ceiling(f"agent:{call.agent}")
        memory.ceiling, hard = ceiling.step(memory.ceiling, call)
        memory.surge, surge = self._parameters.surge.step(memory.surge, call)
        verdicts = []
        if (worst := self._judge_run(call, run)).value > 0:
            verdicts.append(self._verdict(f"run:{call.run}", "ceiling", worst, call, memory, {}))
        if hard.value >= max(surge.value, 0.3):
            verdicts.append(self._verdict(f"agent:{call.agent}", "ceiling", hard, call, memory, {"surge": surge.value}))
        elif surge.value >= 0.3:
            verdicts.append(self._verdict(f"agent:{call.agent}", "surge", surge, call, memory, {}))
        return verdicts

    def _begin(self, call: Call) -> AgentMemory:
        surge = self._parameters.surge.begin(call)
        return AgentMemory(surge, CeilingMemory(), {}, call.now_s, call.now_s)

    def _run(self, state: JudgeState, memory: AgentMemory, call: Call) -> RunMemory:
        run = memory.runs.get(call.run)
        if run is None:
            if len(memory.runs) >= RUNS_KEPT:
                del memory.runs[min(memory.runs, key=lambda r: memory.runs[r].last_s)]
            run = memory.runs[call.run] = RunMemory()
        run.last_s = call.now_s
        run.calls += 1
        run.tokens += call.input_tokens + call.output_tokens
        run.micro_usd += call.spend_micro_usd
        return run

    def _judge_run(self, call: Call, run: RunMemory) -> Score:
        worst = CALM
        for limit in self._ceiling(f"run:{call.run}").limits:
            score = CALM
            if limit.per == "run":
                score = over(limit, run.tokens, run.micro_usd / 1e6)
            if limit.steps is not None and run.calls >= limit.steps:
                score = Score(1.0, f"{run.calls} calls in one run, the limit is {limit.steps}")
            if score.value > worst.value:
                worst = score
        return worst

    def _ceiling(self, scope: str) -> Ceiling:
        if not self._parameters.limits:
            return _NO_LIMITS
        if len(self._ceilings) > 100_000:
            self._ceilings.clear()
        found = self._ceilings.get(scope)
        if found is None:
            found = self._ceilings[scope] = Ceiling(limits_of(self._parameters.limits, scope))
        return found

    def _verdict(
        self, scope: str, detector: str, score: Score, call: Call, memory: AgentMemory, says: dict[str, float]
    ) -> Verdict:
        minute = memory.surge.horizons[0]
        return Verdict(
            scope=scope,
            detector=detector,
            value=score.value,
            reason=score.reason,
            window_start_s=minute.start_s,
            sure=detector == "ceiling",
            says={detector: round(score.value, 3), **{k: round(v, 3) for k, v in says.items()}},
            run=call.run,
            seen_usd_per_min=minute.micro_usd / 1e6,
            usual_usd_per_min=2.718281828**minute.log_mean / 1e6 if minute.windows else 0.0,
        )

    def team_step(self, memory: TeamMemory | None, minute: TeamMinute) -> tuple[TeamMemory, list[Verdict]]:
        """Judge one closed minute of a team."""
        return memory or TeamMemory(), []

    def killed(self, state: JudgeState, scope: str, now_s: float, until_s: float | None) -> None:
        """Neither learn from nor judge a scope that was stopped, until it is released or the time is over."""
        self._bar(state, scope, until_s if until_s is not None else float("inf"))

    def released(self, state: JudgeState, scope: str, now_s: float, *, planned: bool) -> None:
        """Judge the scope again."""
        self._bar(state, scope, 0.0)

    def _bar(self, state: JudgeState, scope: str, until_s: float) -> None:
        kind, _, name = scope.partition(":")
        memory: Any = state.agents.get(name) if kind == "agent" else None
        if memory is not None:
            memory.barred_until_s = until_s
            state.touched.add(("agents", name))


_NO_LIMITS = Ceiling()
