"""A context that grows with every step."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score, counted
from detectors.row import Memory, Row, bucket, floats, halve, scaled, zeros

# Upper ends of the growth of the input from one step of a run to the next, in tokens.
_ENDS: Final = floats(0.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)
_RUNAWAY: Final = floats(0.005, 0.01, 0.04, 0.12, 0.25, 0.27, 0.16, 0.09, 0.055)
_HONEST: Final[tuple[float, ...]] = (0.06, 0.09, 0.25, 0.22, 0.16, 0.11, 0.06, 0.03, 0.02)
_ALIKE_ENDS: Final = floats(0.5, 0.9, 1.3)
_ALIKE_NATS: Final = floats(1.0, -0.4, -1.2, -2.5)
_BURST_MOST: Final = 0.85  # One step short of its bar a burst is still like the honest reading of a few files.
_REASON: Final = "context from {:,.0f} to {:,.0f} tokens in {:.0f} steps"


class SnowballMemory(Memory):
    """How often each growth occurs in this agent's runs, and the most evidence a calm run has shown."""

    def __init__(self) -> None:
        self.counts = zeros(len(_HONEST))
        self.total = 0.0
        self.record = 0.0
        self.log_input = 11.0
        self.log_input_spread = 0.8

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.counts = row.reals(self.counts)
        self.total = row.real(self.total)
        self.record = row.real(self.record)
        self.log_input = row.real(self.log_input)
        self.log_input_spread = row.real(self.log_input_spread)


@dataclass(frozen=True)
class Snowball(Detector):
    """Catches a run whose input grows by much, and by much the same, with each step.

    How much an honest step of this agent adds is counted; a run is suspect when step after step adds what is rare
    for it. Every further step of such a run costs more than the one before. Two sums of the same evidence forget at
    different speeds: honest reading comes in stretches, so the fast one asks for half a dozen large steps in a
    row, and the slow one finds growth that is small but goes on. Fooled by growth as slow as that of
    honest sessions, and by honest reading of one large file after another.

    `bar_nats`: evidence that justifies a kill, forgetting the share `forget` with each step; `burst_bar_nats` and
    `burst_forget` are those of the fast sum. What a pause of a run lasts beyond `pause_s` lets both fade in `fade_s`.
    `prior_steps`, `memory_steps`, `berth`, `high_days_per_1000` as in `loop`.
    """

    bar_nats: float = 19.0
    burst_bar_nats: float = 8.3
    prior_steps: float = 40.0
    memory_steps: float = 2000.0
    berth: float = 1.4
    bar_nats_max: float = 60.0
    forget: float = 0.06
    burst_forget: float = 0.25
    step_nats_max: float = 3.2
    pause_s: float = 60.0
    fade_s: float = 300.0
    learn_below_nats: float = 6.0
    high_days_per_1000: float = 23.0

    def begin(self) -> SnowballMemory:
        """Return a memory with the usual growth of agents at large."""
        memory = SnowballMemory()
        memory.counts, memory.total = scaled(_HONEST, self.prior_steps), self.prior_steps
        return memory

    def step(self, memory: SnowballMemory, scene: Scene) -> tuple[SnowballMemory, Score]:
        """Weigh the growth since the run's last call."""
        call, run = scene.call, scene.run
        if not run.calls or call.failed:
            return memory, CALM
        growth = call.input_tokens - run.input_tokens
        kind = bucket(_ENDS, float(growth))
        nats = log(_RUNAWAY[kind] * memory.total / memory.counts[kind])
        if growth > 0:
            log_growth = log(float(growth))
            if run.log_growth:
                nats += _ALIKE_NATS[bucket(_ALIKE_ENDS, abs(log_growth - run.log_growth))]
                run.log_growth += 0.6 * (log_growth - run.log_growth)
            else:
                run.log_growth = log_growth
        nats += max(-2.0, min(scene.pace_nats, 1.0)) + scene.lasting_nats
        sigmas = (scene.log_input - memory.log_input) / max(0.3, memory.log_input_spread)
        nats += max(-0.6, min(0.8, 0.4 * sigmas))
        nats = min(nats, self.step_nats_max)
        self._climb(scene, nats)
        self._learn(memory, scene, kind)
        bar = min(max(self.bar_nats, self.berth * memory.record), self.bar_nats_max)
        value, burst = run.climb_nats / bar, run.burst_nats * self.bar_nats / (self.burst_bar_nats * bar)
        value = max(value, burst if burst >= 1.0 else min(burst, _BURST_MOST))
        if value < SPEAK_FROM:
            return memory, CALM
        begun, now, steps = float(run.climb_from_tokens), float(call.input_tokens), float(run.climb_steps)
        return memory, counted(value, _REASON, "run", begun, now, steps)

    def _climb(self, scene: Scene, nats: float) -> None:
        """Add to both sums what a step tells; a pause is a person's or a tool's, and takes from them."""
        run = scene.run
        lasts = exp(min(0.0, run.last_s + self.pause_s - scene.call.now_s) / self.fade_s)
        before = run.climb_nats * lasts
        if before + nats <= 0.0:
            run.climb_nats, run.burst_nats, run.climb_steps = 0.0, 0.0, 0
            return
        if not run.climb_steps:
            run.climb_from_tokens = run.input_tokens
        run.climb_nats = before * (1.0 - self.forget) + nats
        run.burst_nats = max(0.0, run.burst_nats * lasts * (1.0 - self.burst_forget) + nats)
        run.climb_steps += 1

    def _learn(self, memory: SnowballMemory, scene: Scene, kind: int) -> None:
        if scene.run.climb_nats < self.learn_below_nats:
            weight = max(0.002, 1.0 / memory.total)
            apart = scene.log_input - memory.log_input
            memory.log_input += weight * apart
            memory.log_input_spread += weight * (abs(apart) * 1.25 - memory.log_input_spread)
            memory.counts[kind] += 1.0
            memory.total += 1.0
            if memory.total > self.memory_steps:
                halve(memory.counts)
                memory.total *= 0.5
