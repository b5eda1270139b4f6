"""The judge: one call in, verdicts out. Composes the detectors; pure, and constant time a call."""

from collections.abc import Sequence
from math import inf, log

from msgspec import Struct

from detectors.ceiling import Ceiling, RunCeiling
from detectors.contract import CALM, AnyDetector, Call, RunTrack, Scene, Score, TeamMinute
from detectors.drift import Drift
from detectors.errors import Errors
from detectors.fanout import Fanout
from detectors.loop import Loop
from detectors.memory import AgentMemory, TreeMemory
from detectors.price import Price
from detectors.snowball import Snowball
from detectors.stall import Stall
from detectors.state import JudgeState, family
from detectors.surge import Surge
from detectors.team import TeamMemory, TeamRise
from detectors.tempo import Tempo

__all__ = ["Judge", "JudgeParameters", "JudgeState", "TeamMemory", "Verdict"]

SPEAK_AT = 0.3
_STEEP = 4.0
"""Three quarters of the evidence that kills is worth an alert, five sixths a hold."""
_ALONE_FROM = SPEAK_AT ** (1.0 / _STEEP)
_BACKING = ("tempo", "surge", "drift")
_TROUBLE_ENDS_S = 1800.0
_RUNS_KEPT = 16
_MEMBERS_KEPT = 256
_ROOTS_KEPT = 8
_SLOT_S = 60.0
_SLOTS_KEPT = 4
_NONE: tuple["Verdict", ...] = ()


class JudgeParameters(Struct, frozen=True, kw_only=True):
    """What a customer may set. `false_kills_per_1000_agent_days` is the budget that moves the bar."""

    false_kills_per_1000_agent_days: float = 1.0
    agent_ceiling: Ceiling = Ceiling()
    run_ceiling: RunCeiling = RunCeiling()
    team_ceiling: Ceiling = Ceiling()
    surge: Surge | None = Surge()
    loop: Loop | None = Loop()
    tempo: Tempo | None = Tempo()
    snowball: Snowball | None = Snowball()
    stall: Stall | None = Stall()
    errors: Errors | None = Errors()
    price: Price | None = Price()
    fanout: Fanout | None = Fanout()
    drift: Drift | None = Drift()
    team_rise: TeamRise | None = TeamRise()
    together: float = 1.5
    """How detectors add up: 1 sums their scores, infinity takes the highest."""


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
        given = self.parameters
        every = (
            given.loop,
            given.tempo,
            given.surge,
            given.stall,
            given.snowball,
            given.errors,
            given.price,
            given.fanout,
            given.drift,
        )
        self._detectors: list[tuple[str, AnyDetector]] = [(d.name, d) for d in every if d is not None]
        self._limited = given.agent_ceiling.active or given.run_ceiling.active

    def step(self, state: JudgeState, call: Call) -> Sequence[Verdict]:
        """Judge one call and learn from it; a killed scope neither speaks nor teaches."""
        agent = family(call.agent)
        memory = state.agents.get(agent)
        if memory is None:
            memory = state.agents[agent] = _begin(call.now_s)
        state.touched.add(("agents", agent))
        tree = _tree(state, call)
        if _blocked(state, memory, tree, call):
            memory.last_s = call.now_s
            return _NONE
        run = memory.runs.pop(call.run, None) or RunTrack(call.now_s, call.now_s)
        scene = Scene(
            call, run, memory.calls, call.now_s - memory.first_s, call.now_s - memory.last_s,
            log(call.input_tokens + 1), log(call.output_tokens + 1),
        )  # fmt: skip
        scene.failing_share = _failing_share(state, call, memory.errors is None or not memory.errors.chain)
        if tree is not None:
            scene.tree, scene.depth = tree.track, tree.depths.get(call.run, 0)
            if not run.calls and (parent := memory.runs.get(call.parent_run)) is not None:
                scene.erratic_nats = parent.erratic_nats
        says = self._ceilings(memory, scene) if self._limited else {}
        for name, detector in self._detectors:
            known = getattr(memory, name)
            if known is None:
                known = detector.begin()
                setattr(memory, name, known)
            _, score = detector.step(known, scene)
            if score is not CALM:
                says[name] = score
        _follow(memory, run, call, tree)
        return self._verdicts(state, memory, call, says) if says else _NONE

    def _ceilings(self, memory: AgentMemory, scene: Scene) -> dict[str, Score]:
        limits, says = self.parameters, {}
        if limits.agent_ceiling.active:
            ceiling = limits.agent_ceiling
            memory.ceiling, score = ceiling.step(memory.ceiling or ceiling.begin(), scene)
            if score.value:
                says[ceiling.name] = score
        if limits.run_ceiling.active:
            score = limits.run_ceiling.score(scene, scene.depth)
            if score.value:
                says[limits.run_ceiling.name] = score
        return says

    def _verdicts(self, state: JudgeState, memory: AgentMemory, call: Call, says: dict[str, Score]) -> list[Verdict]:
        power = self.parameters.together
        pace = max((says[n].value for n in ("tempo", "surge") if n in says), default=0.0)
        if len(says) == 1 and next(iter(says.values())).value < _ALONE_FROM:
            return []
        drift = says["drift"].value if "drift" in says else 0.0
        marks = sum(s.value**power for n, s in says.items() if n not in _BACKING)
        backed = (marks + (0.5 * pace) ** power + (0.6 * drift) ** power) ** (1.0 / power) if marks else 0.0
        value = max(pace, drift, backed) ** _STEEP
        if value < SPEAK_AT:
            return []
        if value == drift**_STEEP:
            if memory.drift is None or memory.drift.told:
                return []
            memory.drift.told = True
        detector, score = max(says.items(), key=lambda item: item[1].value)
        if call.now_s - memory.trouble_last_s > _TROUBLE_ENDS_S:
            memory.trouble_since_s = call.now_s
        memory.trouble_last_s = call.now_s
        verdict = Verdict(
            _scope(state, memory, call, score), detector, value, detector == "drift", score.reason,
            {k: round(v.value, 3) for k, v in says.items()}, memory.trouble_since_s, call.run,
            0.0, memory.usual_usd_per_min, detector in ("ceiling", "run_ceiling"),
        )  # fmt: skip
        return [verdict]

    def team_step(self, memory: TeamMemory | None, minute: TeamMinute) -> tuple[TeamMemory, Sequence[Verdict]]:
        """Judge one closed minute of a team."""
        memory = memory or TeamMemory({})
        rise = self.parameters.team_rise
        if rise is None:
            return memory, _NONE
        _, score = rise.step(memory, minute)
        value = score.value**_STEEP
        if value < SPEAK_AT or memory.told:
            return memory, _NONE
        memory.told = True
        scope, says = f"team:{minute.team}", {rise.name: round(score.value, 3)}
        return memory, [Verdict(scope, rise.name, value, True, score.reason, says, memory.since_s)]

    def killed(self, state: JudgeState, scope: str, now_s: float, until_s: float | None) -> None:
        """Note that a scope is killed or held until `until_s`; None means until it is released."""
        until_s = inf if until_s is None else until_s
        kind, _, name = scope.partition(":")
        if kind == "agent":
            memory = state.agents.setdefault(family(name), _begin(now_s))
            memory.blocked[name] = until_s
            memory.calm()
            state.touched.add(("agents", family(name)))
        elif kind == "run":
            tree = state.tree(name, "", now_s)
            tree.blocked_until_s = until_s
            state.touched.add(("trees", name))
            if (owner := state.agents.get(tree.agent)) is not None:
                owner.calm()
                state.touched.add(("agents", tree.agent))
        elif kind == "team":
            state.teams.setdefault(name, TeamMemory({})).blocked_until_s = until_s
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


def _begin(now_s: float) -> AgentMemory:
    return AgentMemory(now_s, now_s, runs={}, blocked={}, roots=[])


def _tree(state: JudgeState, call: Call) -> TreeMemory | None:
    """Return the tree that the call's run is part of; a run with a parent joins its parent's tree."""
    root = state.root_of.get(call.run)
    if root is not None:
        return state.trees[root]
    if not call.parent_run or not call.run:
        return None
    root = state.root_of.get(call.parent_run, call.parent_run)
    tree = state.tree(root, family(call.agent), call.now_s)
    if len(tree.depths) < _MEMBERS_KEPT:
        tree.depths[call.run] = tree.depths.get(call.parent_run, 0) + 1
        state.root_of[call.run] = root
    return tree


def _blocked(state: JudgeState, memory: AgentMemory, tree: TreeMemory | None, call: Call) -> bool:
    if tree is not None:
        tree.last_s = call.now_s
        state.touched.add(("trees", tree.root))
        if tree.blocked_until_s > call.now_s:
            return True
    if memory.blocked:
        for name in (call.agent, family(call.agent)):
            if memory.blocked.get(name, 0.0) > call.now_s:
                return True
    team = state.teams.get(call.team) if state.teams else None
    return team is not None and team.blocked_until_s > call.now_s


def _scope(state: JudgeState, memory: AgentMemory, call: Call, score: Score) -> str:
    """Blame the run when the latest calls are all of one, its tree when that is what grew, else the agent."""
    roots = memory.roots
    if call.run and (score.blame in ("run", "tree") or (len(roots) == _ROOTS_KEPT and len(set(roots)) == 1)):
        root = state.root_of.get(call.run, call.run)
        state.tree(root, family(call.agent), call.now_s)
        state.touched.add(("trees", root))
        return f"run:{root}"
    return f"agent:{call.agent}"


def _failing_share(state: JudgeState, call: Call, fresh: bool) -> float:
    """Count a call that is no retry in its minute of the shard; return the share that failed in those before."""
    shard = state.shard
    slots, slot = shard.slots, int(call.now_s / _SLOT_S)
    if not slots or slots[-1][0] < slot:
        calls, failed = sum(s[1] for s in slots), sum(s[2] for s in slots)
        shard.failing_share = failed / calls if calls >= 20 else 0.0
        slots.append([slot, 0, 0])
        if len(slots) > _SLOTS_KEPT:
            del slots[0]
        state.touched.add(("shard", ""))
    if fresh:
        now = slots[-1]
        now[1] += 1
        if call.failed:
            now[2] += 1
    return shard.failing_share


def _follow(memory: AgentMemory, run: RunTrack, call: Call, tree: TreeMemory | None) -> None:
    memory.calls += 1
    memory.last_s = call.now_s
    run.calls += 1
    run.last_s = call.now_s
    run.input_tokens = call.input_tokens
    run.spend_micro_usd += call.spend_micro_usd
    roots = memory.roots
    roots.append(call.run if tree is None else tree.root)
    if len(roots) > _ROOTS_KEPT:
        del roots[0]
    if call.run:
        memory.runs[call.run] = run
        if len(memory.runs) > _RUNS_KEPT:
            del memory.runs[next(iter(memory.runs))]
