"""A run that goes on at a machine's pace and gets nowhere."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score, counted
from detectors.row import Memory, Row, bucket, floats, halve, scaled, zeros

# Upper ends of the gaps between two calls of a run, in seconds.
_ENDS_S: Final = floats(1.0, 2.0, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 120.0)
_PACE_RUNAWAY: Final = floats(0.1, 0.14, 0.2, 0.2, 0.16, 0.1, 0.05, 0.025, 0.015, 0.01)
_PACE_HONEST: Final[tuple[float, ...]] = (0.02, 0.02, 0.03, 0.05, 0.1, 0.19, 0.2, 0.17, 0.12, 0.1)
# A step adds to the context, leaves it as it was (within 6 %), or drops much of it.
_STAYS: Final = 0.94
_TURNS_RUNAWAY: Final = floats(0.5, 0.44, 0.06)
_TURNS_HONEST: Final[tuple[float, ...]] = (0.9, 0.05, 0.05)
_TURNS_ERRATIC: Final = floats(0.5, 0.1, 0.4)
# An honest step takes the context beyond where the four to eight steps before it were, time and again.
_TOP_STEPS: Final = 4
_BEYOND_RUNAWAY: Final = 0.15
_BEYOND_HONEST: Final = 0.85
_IDLE: Final = (
    "{:.0f} steps of one run in a row at up to {:,.0f} tokens, and hardly one goes beyond those before it; "
    "{:.0%} usually do"
)
_REASON: Final = (
    "{:.0f} steps of one run in {:.0f} s without a pause, and its context stays at "
    "{:,.0f} tokens; {:.0%} of its steps usually add to it"
)


class StallMemory(Memory):
    """How often each gap occurs within runs, how often a step adds to the context, and the record of planned work.

    `beyond` of `beyond_total` steps took the context beyond the steps before them.
    """

    def __init__(self) -> None:
        self.paces = zeros(len(_PACE_HONEST))
        self.paces_total = 0.0
        self.turns = zeros(len(_TURNS_HONEST))
        self.turns_total = 0.0
        self.begun = 1.0
        self.continued = 19.0
        self.record = 0.0
        self.beyond = 0.0
        self.beyond_total = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.paces = row.reals(self.paces)
        self.paces_total = row.real(self.paces_total)
        self.turns = row.reals(self.turns)
        self.turns_total = row.real(self.turns_total)
        self.begun = row.real(self.begun)
        self.continued = row.real(self.continued)
        self.record = row.real(self.record)
        self.beyond = row.real(self.beyond)
        self.beyond_total = row.real(self.beyond_total)


@dataclass(frozen=True)
class Stall(Detector):
    """Catches a run that makes call after call without a pause while its context does not grow.

    Honest steps of a long run add what was learnt to the context, and wait for tools and people. A run that does
    neither makes no progress. Both are weighed against this agent's own runs, and against agents at large while it
    is new, so it catches a runaway from its first minute. Fooled by an agent without run ids, and by a pipeline
    that puts unrelated items through one run at full speed when it is new. A second sum asks only whether steps take
    the context beyond those before them: it is slower, and sizes that go up and down don't fool it.

    `bar_nats`: evidence that justifies a kill, `idle_bar_nats` that of the second sum; `prior_steps`,
    `memory_steps`, `berth`, `high_days_per_1000` as in `loop`.
    `small_tokens`: below this an input tells little by staying as it is, and the bar is `small_bar` times as high.
    `young_calls`: until then the bar of an agent is `young_bar` times as high: new code has no record to lose.
    """

    bar_nats: float = 26.0
    idle_bar_nats: float = 34.0
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
    young_bar: float = 0.62
    high_days_per_1000: float = 20.0

    def begin(self) -> StallMemory:
        """Return a memory with the habits of agents at large."""
        memory = StallMemory()
        memory.paces, memory.paces_total = scaled(_PACE_HONEST, self.prior_steps), self.prior_steps
        memory.turns, memory.turns_total = scaled(_TURNS_HONEST, self.prior_steps), self.prior_steps
        memory.beyond, memory.beyond_total = _BEYOND_HONEST * self.prior_steps, self.prior_steps
        return memory

    def step(self, memory: StallMemory, scene: Scene) -> tuple[StallMemory, Score]:
        """Weigh the pace and the growth of this step of a run."""
        call, run = scene.call, scene.run
        if call.failed:
            return memory, CALM
        if not run.calls or not call.run:
            memory.begun += 1.0
            run.top_tokens = call.input_tokens
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
        self._idle(memory, scene, gap_s)
        bar = min(max(self.bar_nats, self.berth * memory.record), self.bar_nats_max)
        bar *= self.small_bar if call.input_tokens < self.small_tokens else 1.0
        if call.input_tokens >= self.small_tokens and scene.agent_calls < self.young_calls:
            bar *= self.young_bar
        idle = run.idle_nats * self.bar_nats / (self.idle_bar_nats * bar)
        value = max(total / bar, idle)
        return memory, CALM if value < SPEAK_FROM else self._say(memory, scene, value, idle)

    def _idle(self, memory: StallMemory, scene: Scene, gap_s: float) -> None:
        """Weigh whether this step took the context beyond the highest of the four to eight before it."""
        call, run = scene.call, scene.run
        beyond = call.input_tokens > max(run.top_tokens, run.top_before_tokens)
        share = memory.beyond / memory.beyond_total
        nats = log(_BEYOND_RUNAWAY / share) if beyond else log((1.0 - _BEYOND_RUNAWAY) / max(1e-3, 1.0 - share))
        nats += scene.lasting_nats + max(-self.slow_nats_max, min(scene.pace_nats, 1.0))
        total = run.idle_nats * (exp(-gap_s / self.fade_s) - self.forget) + min(nats, self.step_nats_max)
        run.idle_nats, run.idle_steps = (total, run.idle_steps + 1) if total > 0.0 else (0.0, 0)
        run.top_tokens = max(run.top_tokens, call.input_tokens)
        if run.calls % _TOP_STEPS == 0:
            run.top_before_tokens, run.top_tokens = run.top_tokens, call.input_tokens
        if total < self.learn_below_nats:
            weight = max(0.1, 5.0 / (5.0 + run.idle_steps))
            memory.beyond += weight if beyond else 0.0
            memory.beyond_total += weight
            if memory.beyond_total > self.memory_steps:
                memory.beyond *= 0.5
                memory.beyond_total *= 0.5

    def _say(self, memory: StallMemory, scene: Scene, value: float, idle: float) -> Score:
        run = scene.run
        if idle >= value:
            top = float(max(run.top_tokens, run.top_before_tokens))
            return counted(value, _IDLE, "run", float(run.idle_steps), top, memory.beyond / memory.beyond_total)
        span_s = max(1.0, scene.call.now_s - run.stall_since_s)
        growing = memory.turns[0] / memory.turns_total
        steps, tokens = float(run.stall_steps), float(scene.call.input_tokens)
        return counted(value, _REASON, "run", steps, span_s, tokens, growing)

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
