"""A run that goes on at a machine's pace and gets nowhere."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score
from detectors.row import Memory, Row, bucket, floats, halve, scaled, zeros

# Upper ends of the gaps between two calls of a run, in seconds.
_ENDS_S: Final = floats(1.0, 2.0, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 120.0)
_PACE_RUNAWAY: Final[tuple[float, ...]] = (0.1, 0.14, 0.2, 0.2, 0.16, 0.1, 0.05, 0.025, 0.015, 0.01)
_PACE_HONEST: Final[tuple[float, ...]] = (0.02, 0.02, 0.03, 0.05, 0.1, 0.19, 0.2, 0.17, 0.12, 0.1)
# A step adds to the context, leaves it as it was (within 6 %), or drops much of it.
_STAYS: Final = 0.94
_TURNS_RUNAWAY: Final[tuple[float, ...]] = (0.5, 0.44, 0.06)
_TURNS_HONEST: Final[tuple[float, ...]] = (0.9, 0.05, 0.05)
_TURNS_ERRATIC: Final[tuple[float, ...]] = (0.5, 0.1, 0.4)
_REASON: Final = (
    "{:.0f} steps of one run in {:.0f} s without a pause, and its context stays at "
    "{:,.0f} tokens; {:.0%} of its steps usually add to it"
)


class StallMemory(Memory):
    """How often each gap occurs within runs, how often a step adds to the context, and the calm record."""

    def __init__(self) -> None:
        self.paces = zeros(len(_PACE_HONEST))
        self.paces_total = 0.0
        self.turns = zeros(len(_TURNS_HONEST))
        self.turns_total = 0.0
        self.begun = 1.0
        self.continued = 19.0
        self.record = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.paces = row.reals(self.paces)
        self.paces_total = row.real(self.paces_total)
        self.turns = row.reals(self.turns)
        self.turns_total = row.real(self.turns_total)
        self.begun = row.real(self.begun)
        self.continued = row.real(self.continued)
        self.record = row.real(self.record)


@dataclass(frozen=True)
class Stall(Detector):
    """Catches a run that makes call after call without a pause while its context does not grow.

    Honest steps of a long run add what was learnt to the context, and wait for tools and people. A run that does
    neither makes no progress. Both are weighed against this agent's own runs, and against agents at large while it
    is new, so it catches a runaway from its first minute. Fooled by an agent without run ids, and by a pipeline
    that puts unrelated items through one run at full speed when it is new.

    `bar_nats`: evidence that justifies a kill; `prior_steps`, `memory_steps`, `berth` as in `loop`.
    `small_tokens`: below this an input tells little by staying as it is, and the bar is `small_bar` times as high.
    `young_calls`: until then the bar of an agent is `young_bar` times as high: new code has no record to lose.
    """

    bar_nats: float = 23.0
    bar_nats_max: float = 120.0
    berth: float = 1.5
    fade_s: float = 5400.0
    forget: float = 0.015
    step_nats_max: float = 2.6
    slow_nats_max: float = 0.15
    lasting_nats_max: float = 0.8
    prior_steps: float = 80.0
    memory_steps: float = 2000.0
    learn_below_nats: float = 4.0
    small_tokens: int = 1000
    small_bar: float = 1.6
    young_calls: int = 150
    young_bar: float = 0.85

    def begin(self) -> StallMemory:
        """Return a memory with the habits of agents at large."""
        memory = StallMemory()
        memory.paces, memory.paces_total = scaled(_PACE_HONEST, self.prior_steps), self.prior_steps
        memory.turns, memory.turns_total = scaled(_TURNS_HONEST, self.prior_steps), self.prior_steps
        return memory

    def step(self, memory: StallMemory, scene: Scene) -> tuple[StallMemory, Score]:
        """Weigh the pace and the growth of this step of a run."""
        call, run = scene.call, scene.run
        if call.failed:
            return memory, CALM
        if not run.calls or not call.run:
            memory.begun += 1.0
            return memory, CALM
        lasting = min(self.lasting_nats_max, log((memory.begun + memory.continued) / memory.continued))
        gap_s = call.now_s - run.last_s
        i = bucket(_ENDS_S, gap_s)
        scene.pace_nats = log(_PACE_RUNAWAY[i] * memory.paces_total / memory.paces[i])
        scene.lasting_nats = lasting
        turn = 0 if call.input_tokens > run.input_tokens else 1 if call.input_tokens > run.input_tokens * _STAYS else 2
        share = memory.turns[turn] / memory.turns_total
        run.astray_nats = max(0.0, run.astray_nats * 0.95 + log(_TURNS_ERRATIC[turn] / share) + lasting)
        nats = lasting + log(_TURNS_RUNAWAY[turn] / share)
        nats = min(nats + max(-self.slow_nats_max, min(scene.pace_nats, 2.0)), self.step_nats_max)
        total = run.stall_nats * (exp(-gap_s / self.fade_s) - self.forget) + nats
        if total <= 0.0:
            run.stall_nats, run.stall_steps = 0.0, 0
        else:
            if not run.stall_steps:
                run.stall_since_s = call.now_s
            run.stall_nats, run.stall_steps = total, run.stall_steps + 1
        if total < self.learn_below_nats:
            self._learn(memory, i, turn, max(0.1, 5.0 / (5.0 + run.calls)))
        bar = min(max(self.bar_nats, self.berth * memory.record), self.bar_nats_max)
        if call.input_tokens < self.small_tokens:
            bar *= self.small_bar
        elif scene.agent_calls < self.young_calls:
            bar *= self.young_bar
        if total < SPEAK_FROM * bar:
            return memory, CALM
        span_s = max(1.0, call.now_s - run.stall_since_s)
        growing = memory.turns[0] / memory.turns_total
        numbers = (float(run.stall_steps), span_s, float(call.input_tokens), growing)
        return memory, Score(total / bar, _REASON, "run", numbers)

    def _learn(self, memory: StallMemory, pace: int, turn: int, weight: float) -> None:
        memory.paces[pace] += weight
        memory.paces_total += weight
        memory.turns[turn] += weight
        memory.turns_total += weight
        memory.continued += 1.0
        if memory.begun + memory.continued > self.memory_steps:
            memory.begun *= 0.5
            memory.continued *= 0.5
        if memory.paces_total > self.memory_steps:
            halve(memory.paces)
            memory.paces_total *= 0.5
            halve(memory.turns)
            memory.turns_total *= 0.5
