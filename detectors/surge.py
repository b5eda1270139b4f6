"""Far more spend or calls than this agent has ever shown, on horizons from a minute to hours."""

from math import exp, log, sqrt
from typing import ClassVar

from msgspec import Struct

from detectors.contract import CALM, Scene, Score, Watches

HORIZONS_S = (60.0, 600.0, 7200.0)
_WORDS = ("a minute", "ten minutes", "two hours")
_SLOT_S = 3600.0
_FLOOR_MICRO_USD = 10_000.0
_FLOOR_CALLS = 3.0


class SurgeMemory(Struct, array_like=True, gc=False):
    """Fading sums by horizon, this hour's peaks, and the spread of the peaks of past active hours.

    Lists hold calls then micro-dollars, a value for each horizon; peaks and means are logarithms.
    """

    last_s: float
    slot: int
    sums: list[float]
    peaks: list[float]
    hours: int
    means: list[float]
    variances: list[float]
    largest: list[float]
    """By horizon: the dearest call, fading like the sums; one huge document is no surge."""

    def reset(self) -> None:
        """Drop what is at hand, without learning from it."""
        self.slot = 0
        self.sums, self.peaks, self.largest = [0.0] * 6, [0.0] * 6, [0.0] * 3


class Surge(Struct, frozen=True):
    """Catches spend or calls far above the highest that the agent's past hours have shown.

    Hours are compared by their peaks, as logarithms: a doubling weighs the same for a $20 agent and a $2,000 one,
    and an agent that is wild by nature earns a wide berth. An hour teaches at most `learn_sigmas` above the mean,
    so neither a plateau nor a ramp becomes usual soon. Fooled by an agent that keeps to its usual spend while it
    does nothing useful, and by one whose first honest burst ever is hundreds of times its normal.

    `breach_sigmas`: deviations above the mean peak that justify a kill, at the least `breach_ratio` times it.
    `hours_min`: active hours before it speaks. `sd_min`: the least spread believed, in logarithms.
    `memory_hours`: how many active hours the memory spans. `prior_sd` and `prior_hours`: the spread assumed of an
    agent before its own is known, and how many hours that assumption is worth.
    """

    name: ClassVar[str] = "surge"
    watches: ClassVar[Watches] = "agent"
    memory_type: ClassVar[type[Struct]] = SurgeMemory

    breach_sigmas: float = 14.0
    breach_ratio: float = 40.0
    learn_sigmas: float = 2.0
    hours_min: int = 5
    memory_hours: int = 240
    sd_min: float = 0.3
    prior_sd: float = 0.8
    prior_hours: float = 6.0

    def begin(self) -> SurgeMemory:
        """Return a memory that has seen no hour."""
        return SurgeMemory(0.0, 0, [0.0] * 6, [0.0] * 6, 0, [0.0] * 6, [0.0] * 6, [0.0] * 3)

    def step(self, memory: SurgeMemory, scene: Scene) -> tuple[SurgeMemory, Score]:
        """Judge the fading sums, this call included, against the peaks of past hours."""
        call = scene.call
        slot = int(call.now_s // _SLOT_S)
        if slot != memory.slot:
            if memory.slot:
                self._learn(memory)
            memory.slot = slot
        passed_s = call.now_s - memory.last_s
        memory.last_s = call.now_s
        sums, peaks = memory.sums, memory.peaks
        surprise, worst = 0.0, -1
        judged = memory.hours >= self.hours_min
        for i, horizon_s in enumerate(HORIZONS_S):
            fade = exp(-passed_s / horizon_s)
            sums[i] = calls = sums[i] * fade + 1.0
            sums[i + 3] = usd = sums[i + 3] * fade + call.list_micro_usd
            memory.largest[i] = largest = max(memory.largest[i] * fade, call.list_micro_usd)
            usd -= largest
            for j, value, floor in ((i, calls, _FLOOR_CALLS), (i + 3, usd, _FLOOR_MICRO_USD)):
                level = log(value + floor)
                if level > peaks[j]:
                    peaks[j] = level
                    if judged and (excess := self._excess(memory, j, level - scene.common_log)) > surprise:
                        surprise, worst = excess, j
        return memory, CALM if surprise < 0.3 else self._say(memory, surprise, worst)

    def _excess(self, memory: SurgeMemory, j: int, level: float) -> float:
        above = level - memory.means[j]
        sd = self._sd(memory, j)
        return above / max(self.breach_sigmas * sd, log(self.breach_ratio))

    def _sd(self, memory: SurgeMemory, j: int) -> float:
        hours = memory.hours
        pooled = (self.prior_hours * self.prior_sd**2 + hours * memory.variances[j]) / (self.prior_hours + hours)
        return max(self.sd_min, sqrt(pooled * (1 + 1 / max(1, hours))))

    def _learn(self, memory: SurgeMemory) -> None:
        memory.hours = hours = min(memory.hours + 1, self.memory_hours)
        for j, peak in enumerate(memory.peaks):
            clipped = peak if hours == 1 else min(peak, memory.means[j] + self.learn_sigmas * self._sd(memory, j))
            step = clipped - memory.means[j]
            memory.means[j] += step / hours
            memory.variances[j] += (step * step * (1 - 1 / hours) - memory.variances[j]) / hours
            memory.peaks[j] = 0.0

    def _say(self, memory: SurgeMemory, surprise: float, j: int) -> Score:
        times = exp(max(memory.peaks[j], 0.0) - memory.means[j])
        value = memory.sums[j]
        seen = f"{value:,.0f} calls" if j < 3 else f"${value / 1e6:,.2f}"
        reason = f"{seen} in {_WORDS[j % 3]}, {times:,.1f} times the usual peak of its past {memory.hours} active hours"
        return Score(surprise, reason)
