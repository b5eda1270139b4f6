"""A run that goes on at a machine's pace and gets nowhere."""

from math import exp, log
from typing import ClassVar

from msgspec import Struct

from detectors.contract import CALM, Scene, Score, Watches

# Upper ends of the gaps between two calls of a run, in seconds.
_ENDS_S = (1.0, 2.0, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 120.0)
_PACE_RUNAWAY = (0.1, 0.14, 0.2, 0.2, 0.16, 0.1, 0.05, 0.025, 0.015, 0.01)
_PACE_HONEST = (0.02, 0.02, 0.03, 0.05, 0.1, 0.19, 0.2, 0.17, 0.12, 0.1)
_GROWS_RUNAWAY = 0.5
_GROWS_HONEST = 0.9


class StallMemory(Struct, array_like=True, gc=False):
    """How often each gap occurs within runs, how often a step adds to the context, and the calm record."""

    paces: list[float]
    paces_total: float
    grown: float
    steps: float
    record: float = 0.0
    record_s: float = 0.0


class Stall(Struct, frozen=True):
    """Catches a run that makes call after call without a pause while its context does not grow.

    Honest steps of a long run add what was learnt to the context, and wait for tools and people. A run that does
    neither makes no progress. Both are weighed against this agent's own runs, and against agents at large while it
    is new, so it catches a runaway from its first minute. Fooled by an agent without run ids, and by a pipeline
    that puts unrelated items through one run at full speed when it is new.

    `bar_nats`: evidence that justifies a kill; `prior_steps`, `memory_steps`, `berth` as in `loop`.
    """

    name: ClassVar[str] = "stall"
    watches: ClassVar[Watches] = "run"
    memory_type: ClassVar[type[Struct]] = StallMemory

    bar_nats: float = 23.0
    bar_nats_max: float = 120.0
    berth: float = 1.5
    fade_s: float = 600.0
    prior_steps: float = 50.0
    memory_steps: float = 2000.0
    learn_below_nats: float = 4.0

    def begin(self) -> StallMemory:
        """Return a memory with the habits of agents at large."""
        paces = [share * self.prior_steps for share in _PACE_HONEST]
        return StallMemory(paces, self.prior_steps, _GROWS_HONEST * self.prior_steps, self.prior_steps)

    def step(self, memory: StallMemory, scene: Scene) -> tuple[StallMemory, Score]:
        """Weigh the pace and the growth of this step of a run."""
        call, run = scene.call, scene.run
        if not run.calls or not call.run or call.failed:
            return memory, CALM
        gap_s, i = call.now_s - run.last_s, 0
        for end_s in _ENDS_S:
            if gap_s <= end_s:
                break
            i += 1
        scene.pace_nats = log(_PACE_RUNAWAY[i] * memory.paces_total / memory.paces[i])
        grown = call.input_tokens > run.input_tokens
        share = memory.grown / memory.steps
        nats = log(_GROWS_RUNAWAY / share) if grown else log((1.0 - _GROWS_RUNAWAY) / (1.0 - share))
        total = run.stall_nats * exp(-gap_s / self.fade_s) + nats + min(scene.pace_nats, 2.0)
        if total <= 0.0:
            run.stall_nats, run.stall_steps = 0.0, 0
        else:
            if not run.stall_steps:
                run.stall_since_s = call.now_s
            run.stall_nats, run.stall_steps = total, run.stall_steps + 1
        if total < self.learn_below_nats:
            self._learn(memory, i, grown)
        bar = min(max(self.bar_nats, self.berth * memory.record), self.bar_nats_max)
        if total < 0.25 * bar:
            return memory, CALM
        span_s = max(1.0, call.now_s - run.stall_since_s)
        reason = (
            f"{run.stall_steps} steps of one run in {span_s:.0f} s without a pause, and its context stays at "
            f"{call.input_tokens:,} tokens; {share:.0%} of its steps usually add to it"
        )
        return memory, Score(total / bar, reason, "run")

    def _learn(self, memory: StallMemory, pace: int, grown: bool) -> None:
        memory.paces[pace] += 1.0
        memory.paces_total += 1.0
        memory.grown += grown
        memory.steps += 1.0
        if memory.steps > self.memory_steps:
            memory.grown *= 0.5
            memory.steps *= 0.5
        if memory.paces_total > self.memory_steps:
            memory.paces = [count * 0.5 for count in memory.paces]
            memory.paces_total *= 0.5
