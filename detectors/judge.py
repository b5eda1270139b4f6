"""The judge: one call in, verdicts out. Composes the detectors; pure, and constant time a call."""

from collections.abc import Sequence
from math import inf, log

from msgspec import Struct

from detectors.ceiling import Ceiling, RunCeiling
from detectors.contract import Call, RunTrack, Scene, Score, TeamMinute
from detectors.memory import AgentMemory, TeamMemory, Trouble
from detectors.state import JudgeState, family
from detectors.surge import Surge

__all__ = ["Judge", "JudgeParameters", "JudgeState", "TeamMemory", "Verdict"]

SPEAK_AT = 0.3
_TROUBLE_ENDS_S = 1800.0
_RUNS_KEPT = 16
_NONE: tuple["Verdict", ...] = ()


class JudgeParameters(Struct, frozen=True, kw_only=True):
    """What a customer may set. `false_kills_per_1000_agent_days` is the budget that moves the bar."""

    false_kills_per_1000_agent_days: float = 1.0
    agent_ceiling: Ceiling = Ceiling()
    run_ceiling: RunCeiling = RunCeiling()
    team_ceiling: Ceiling = Ceiling()
    surge: Surge | None = Surge()


class Verdict(Struct, frozen=True, gc=False):
    """What the judge says of a scope: 1 justifies a kill, 0.5 a hold, 0.3 an alert."""

    scope: str
    detector: str
    value: float
    alert_only: bool
    reason: str
    says: dict[str, float]
    window_start_s: float
    run: str = ""
    seen_usd_per_min: float = 0.0
    usual_usd_per_min: float = 0.0
    sure: bool = False
    """A hard ceiling of the customer's was passed: no floor or further sample is needed."""


class Judge:
    """Holds parameters only; what is known is in the state."""

    def __init__(self, parameters: JudgeParameters | None = None) -> None:
        self.parameters = parameters or JudgeParameters()

    def step(self, state: JudgeState, call: Call) -> Sequence[Verdict]:
        """Judge one call and learn from it; a killed scope neither speaks nor teaches."""
        name = family(call.agent)
        memory = state.agents.get(name)
        if memory is None:
            memory = state.agents[name] = AgentMemory(call.now_s, call.now_s, 0, 0.0, {}, {}, {})
        state.touched.add(("agents", name))
        memory.last_s = call.now_s
        if _blocked(state, memory, call):
            return _NONE
        run = memory.runs.pop(call.run, None) or RunTrack(call.now_s, call.now_s)
        scene = Scene(
            call, run, memory.calls, call.now_s - memory.first_s, 0.0,
            log(call.input_tokens + 1), log(call.output_tokens + 1), 0.0, 0.0,
        )  # fmt: skip
        says: dict[str, Score] = {}
        self._ceilings(memory, scene, says)
        surge = self.parameters.surge
        if surge is not None:
            memory.surge, score = surge.step(memory.surge or surge.begin(), scene)
            if score.value >= SPEAK_AT:
                says[surge.name] = score
        _follow(memory, run, call)
        return [self._verdict(state, memory, call, says)] if says else _NONE

    def _ceilings(self, memory: AgentMemory, scene: Scene, says: dict[str, Score]) -> None:
        limits = self.parameters
        if limits.agent_ceiling.active:
            ceiling = limits.agent_ceiling
            memory.ceiling, score = ceiling.step(memory.ceiling or ceiling.begin(), scene)
            if score.value:
                says[ceiling.name] = score
        if limits.run_ceiling.active:
            score = limits.run_ceiling.score(scene, 0)
            if score.value:
                says[limits.run_ceiling.name] = score

    def _verdict(self, state: JudgeState, memory: AgentMemory, call: Call, says: dict[str, Score]) -> Verdict:
        detector, score = max(says.items(), key=lambda item: item[1].value)
        scope = f"agent:{call.agent}"
        if score.blame in ("run", "tree"):
            scope = f"run:{state.root_of.get(call.run, call.run)}"
        trouble = memory.troubles.setdefault(detector, Trouble())
        if call.now_s - trouble.last_s > _TROUBLE_ENDS_S:
            trouble.since_s = call.now_s
        trouble.last_s = call.now_s
        return Verdict(
            scope, detector, score.value, False, score.reason, {k: round(v.value, 3) for k, v in says.items()},
            trouble.since_s, call.run, 0.0, memory.usual_usd_per_min, detector in ("ceiling", "run_ceiling"),
        )  # fmt: skip

    def team_step(self, memory: TeamMemory | None, minute: TeamMinute) -> tuple[TeamMemory, Sequence[Verdict]]:
        """Judge one closed minute of a team."""
        memory = memory or TeamMemory()
        memory.last_s = minute.now_s
        return memory, _NONE

    def killed(self, state: JudgeState, scope: str, now_s: float, until_s: float | None) -> None:
        """Note that a scope is killed or held until `until_s`; None means until it is released."""
        until_s = inf if until_s is None else until_s
        kind, _, name = scope.partition(":")
        if kind == "agent":
            memory = state.agents.setdefault(family(name), AgentMemory(now_s, now_s, 0, 0.0, {}, {}, {}))
            memory.blocked[name] = until_s
            state.touched.add(("agents", family(name)))
        elif kind == "run":
            state.tree(name, now_s).blocked_until_s = until_s
            state.touched.add(("trees", name))
        elif kind == "team":
            state.teams.setdefault(name, TeamMemory()).blocked_until_s = until_s
            state.touched.add(("teams", name))

    def released(self, state: JudgeState, scope: str, now_s: float, *, planned: bool) -> None:
        """Note that a scope may work again; `planned` says that what it did was meant, so it teaches."""
        kind, _, name = scope.partition(":")
        if kind == "agent" and (memory := state.agents.get(family(name))) is not None:
            memory.blocked.pop(name, None)
            state.touched.add(("agents", family(name)))
        elif kind == "run" and (tree := state.trees.get(name)) is not None:
            tree.blocked_until_s = 0.0
            state.touched.add(("trees", name))
        elif kind == "team" and (team := state.teams.get(name)) is not None:
            team.blocked_until_s = 0.0
            state.touched.add(("teams", name))


def _blocked(state: JudgeState, memory: AgentMemory, call: Call) -> bool:
    if memory.blocked:
        for name in (call.agent, family(call.agent)):
            if memory.blocked.get(name, 0.0) > call.now_s:
                return True
    tree = state.trees.get(state.root_of.get(call.run) or state.root_of.get(call.parent_run, ""))
    if tree is not None and tree.blocked_until_s > call.now_s:
        return True
    team = state.teams.get(call.team) if state.teams else None
    return team is not None and team.blocked_until_s > call.now_s


def _follow(memory: AgentMemory, run: RunTrack, call: Call) -> None:
    memory.calls += 1
    run.calls += 1
    run.last_s = call.now_s
    run.input_tokens = call.input_tokens
    run.output_tokens = call.output_tokens
    run.spend_micro_usd += call.spend_micro_usd
    if call.run:
        memory.runs[call.run] = run
        if len(memory.runs) > _RUNS_KEPT:
            del memory.runs[next(iter(memory.runs))]
