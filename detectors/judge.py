"""The judge: one call in, verdicts out. Composes the detectors; pure, and constant time a call."""

from collections.abc import Sequence
from math import log
from typing import Final

from librt.vecs import vec
from mypy_extensions import mypyc_attr

from detectors import standing
from detectors.ceiling import Ceiling, CeilingMemory, RunCeiling
from detectors.contract import CALM, Call, Detector, RunTrack, Scene, Score, TeamMinute
from detectors.limits import LimitBook
from detectors.memory import AgentMemory, TreeMemory
from detectors.parameters import JudgeParameters
from detectors.row import Floats, floats
from detectors.state import Home, JudgeState, family
from detectors.team import TeamMemory
from detectors.verdict import SPEAK_AT, STEEP, Verdict, heard_alone, weigh

__all__ = ["Judge", "JudgeParameters", "JudgeState", "TeamMemory", "Verdict"]

_TROUBLE_ENDS_S: Final = 1800.0
_RUNS_KEPT: Final = 16
_SAME_ROOT_CALLS: Final = 8
_NONE: Final[tuple[Verdict, ...]] = ()


def compiled() -> bool:
    """Tell whether the core runs compiled."""
    return not __file__.endswith(".py")


@mypyc_attr(allow_interpreted_subclasses=True)
class Judge:
    """Holds parameters only; what is known is in the state."""

    def __init__(self, parameters: JudgeParameters | None = None) -> None:
        self.parameters = parameters or JudgeParameters()
        detectors = self.parameters.by_call()
        self._names = list(detectors)
        self._detectors = vec[Detector | None](list(detectors.values()))
        limits = self.parameters.limits
        self._limits = LimitBook(limits, self.parameters.run_ceiling)
        self._limited = bool(limits) or self.parameters.agent_ceiling.active or self.parameters.run_ceiling.active
        self._usual_high_days = floats(
            *(getattr(each, "high_days_per_1000", 0.0) / 1000.0 for each in detectors.values())
        )
        self._bar = self.parameters.bar
        self._together = self.parameters.together

    def step(self, state: JudgeState, call: Call, home: Home | None = None) -> Sequence[Verdict]:
        """Judge one call and learn from it; a killed scope neither speaks nor teaches."""
        if home is None or not home.agent:
            home = Home(call.agent)
        memory = state.at(home, call.now_s)
        tree = state.tree_of(call)
        if (tree is not None or memory.blocked or state.teams) and standing.blocked(state, memory, tree, call):
            memory.last_s = call.now_s
            return _NONE
        run = memory.run(call.run) or RunTrack(call.now_s, call.now_s)
        scene = _scene(state, memory, tree, run, call)
        if memory.last_s < state.shard.day_s:
            state.shard.calibration.count(memory.highs, self._usual_high_days)
            state.touched.add(("shard", ""))
        says = self._ask(
            memory,
            scene,
            state.shard.calibration.bars,
            self._ceilings(home.agent, memory, tree, scene) if self._limited else None,
        )
        _follow(memory, run, call, tree)
        return self._verdicts(state, memory, call, says) if says else _NONE

    def _ask(
        self, memory: AgentMemory, scene: Scene, bars: Floats, says: dict[str, Score] | None
    ) -> dict[str, Score] | None:
        """Ask each detector; a new agent, or one from before a change of the configuration, lacks memories.

        A single voice that is too low to be heard alone is left out: that is most of what they say.
        """
        held, detectors = memory.held, self._detectors
        first, at = CALM, 0
        for i in range(len(detectors)):
            detector = detectors[i]
            if detector is None:
                continue
            known = held[i]
            if known is None:
                known = held[i] = detector.begin()
            _, score = detector.step(known, scene)
            if score is CALM:
                continue
            memory.highs.hear(i, score.value)
            score.value /= bars[i]
            if says is None:
                if first is CALM:
                    first, at = score, i
                    continue
                says = {self._names[at]: first}
            says[self._names[i]] = score
        if says is None and heard_alone(self._names[at], first, self._bar):
            return {self._names[at]: first}
        return says

    def _ceilings(self, agent: str, memory: AgentMemory, tree: TreeMemory | None, scene: Scene) -> dict[str, Score]:
        says = {}
        ceiling = self._limits.of(f"agent:{agent}", self.parameters.agent_ceiling)
        if ceiling.active:
            memory.ceiling, score = ceiling.step(memory.ceiling or ceiling.begin(), scene)
            if score is not CALM:
                says["ceiling"] = score
        of_run = self._limits.of_run(scene.call.run, agent, scene.call.team)
        if of_run.active and not (tree is not None and tree.pardoned):
            score = of_run.score(scene, scene.depth)
            if score is not CALM:
                says["run_ceiling"] = score
        return says

    def bars_of(self, state: JudgeState) -> dict[str, float]:
        """Return how many times its own bar each detector's is here, where that isn't one."""
        bars = state.shard.calibration.bars
        return {self._names[i]: bars[i] for i in range(len(bars)) if bars[i] != 1.0}

    def limits_of(self, scope: str, agent: str = "", team: str = "") -> tuple[Ceiling, RunCeiling]:
        """Return the customer's limits of a scope: by the clock for an agent or team, in all for a run of `agent`."""
        kind, _, name = scope.partition(":")
        if kind == "run":
            return Ceiling(), self._limits.of_run(name, family(agent), team)
        base = self.parameters.team_ceiling if kind == "team" else self.parameters.agent_ceiling
        return self._limits.of(scope, base), RunCeiling()

    def _verdicts(
        self, state: JudgeState, memory: AgentMemory, call: Call, says: dict[str, Score]
    ) -> Sequence[Verdict]:
        weighed = weigh(says, self._together, self._bar)
        if weighed.value < SPEAK_AT:
            return _NONE
        if weighed.alert_only and memory.drift is not None:
            if memory.drift.told:
                return _NONE
            memory.drift.told = True
        if call.now_s - memory.trouble_last_s > _TROUBLE_ENDS_S:
            memory.trouble_since_s = call.now_s
        memory.trouble_last_s = call.now_s
        seen, usual = memory.surge.usd_per_min() if memory.surge is not None else (0.0, 0.0)
        verdict = Verdict(
            _scope(state, memory, call, weighed.score), weighed.detector, weighed.value, weighed.alert_only,
            weighed.score.reason, {name: round(score.value, 3) for name, score in says.items()},
            memory.trouble_since_s, call.run, seen, usual, weighed.sure,
        )  # fmt: skip
        return (verdict,)

    def team_step(self, memory: TeamMemory | None, minute: TeamMinute) -> tuple[TeamMemory, Sequence[Verdict]]:
        """Judge one closed minute of a team."""
        memory = memory or TeamMemory()
        scope, verdicts = f"team:{minute.team}", []
        ceiling = self._limits.of(scope, self.parameters.team_ceiling)
        if ceiling.active:
            memory.ceiling = memory.ceiling or CeilingMemory()
            tokens = sum(member[1] for member in minute.members.values())
            score = ceiling.add(memory.ceiling, minute.start_s, tokens, sum(m[2] for m in minute.members.values()))
            if score is not CALM:
                says = {"ceiling": score.value}
                verdicts.append(
                    Verdict(scope, "ceiling", score.value, False, score.reason, says, minute.start_s, sure=True)
                )
        rise = self.parameters.team_rise
        if rise is not None:
            memory, score = rise.step(memory, minute)
            value = score.value**STEEP
            if value >= SPEAK_AT and not memory.told:
                memory.told = True
                says = {"team_rise": round(score.value, 3)}
                verdicts.append(Verdict(scope, "team_rise", value, True, score.reason, says, memory.since_s))
        return memory, verdicts

    def killed(self, state: JudgeState, scope: str, now_s: float, until_s: float | None) -> None:
        """Note that a scope is killed or held until `until_s`; None means until it is released."""
        standing.killed(state, scope, now_s, until_s)

    def released(self, state: JudgeState, scope: str, _now_s: float, *, planned: bool) -> None:
        """Note that a scope may work again; `planned` says that what it did was meant, so it teaches."""
        standing.released(state, scope, planned=planned)


def _scene(state: JudgeState, memory: AgentMemory, tree: TreeMemory | None, run: RunTrack, call: Call) -> Scene:
    scene = Scene(
        call, run, memory.calls, call.now_s - memory.first_s, call.now_s - memory.last_s,
        log(call.input_tokens + 1.0), log(call.output_tokens + 1.0),
    )  # fmt: skip
    errors = memory.errors
    scene.failing_share = state.failing_share(call, fresh=errors is None or errors.chain == 0.0)
    scene.common_log = state.common_log(call, memory)
    if tree is not None:
        scene.tree, scene.depth = tree.track, tree.depths.get(call.run, 0)
        if not run.calls and (parent := memory.runs.get(call.parent_run)) is not None:
            scene.astray_nats = parent.astray_nats
    return scene


def _scope(state: JudgeState, memory: AgentMemory, call: Call, score: Score) -> str:
    """Blame the run when the latest calls are all of one, its tree when that is what grew, else the agent."""
    if call.run and (score.blame in ("run", "tree") or memory.root_calls >= _SAME_ROOT_CALLS):
        root = state.root_of.get(call.run, call.run)
        state.tree(root, family(call.agent), call.now_s)
        state.touched.add(("trees", root))
        return f"run:{root}"
    return f"agent:{call.agent}"


def _follow(memory: AgentMemory, run: RunTrack, call: Call, tree: TreeMemory | None) -> None:
    memory.calls += 1
    memory.last_s = call.now_s
    run.calls += 1
    run.last_s = call.now_s
    if not call.failed:
        run.input_tokens = call.input_tokens
    run.spend_micro_usd += call.spend_micro_usd
    run.tokens += call.input_tokens + call.output_tokens
    root = call.run if tree is None else tree.root
    if root == memory.root:
        memory.root_calls += 1
    else:
        memory.root, memory.root_calls = root, 1
    if call.run and not (run.calls > 1 and call.run == memory.latest_run):
        runs = memory.runs
        if run.calls > 1:
            runs.pop(call.run, None)
        runs[call.run] = memory.latest_track = run
        memory.latest_run = call.run
        if len(runs) > _RUNS_KEPT:
            for oldest in runs:  # Compiled, this takes a third of what next(iter(runs)) does.
                del runs[oldest]
                break
