"""Far more spend or calls than this agent has ever shown, on horizons from a minute to hours."""

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score
from detectors.row import Memory, Row, floats, zeros

HORIZONS_S: Final = floats(60.0, 600.0, 7200.0)
_WORDS: Final[tuple[str, ...]] = ("a minute", "ten minutes", "two hours")
_SLOT_S: Final = 3600.0
_LOG_MAX: Final = 700.0
_FLOORS: Final = floats(3.0, 3.0, 3.0, 10_000.0, 10_000.0, 10_000.0)
# Where in `SurgeMemory.now` the sums are, the peaks, the limits and the largest.
_SUMS: Final = 0
_PEAKS: Final = 6
_LIMITS: Final = 12
_LARGEST: Final = 18


class SurgeMemory(Memory):
    """Fading sums by horizon, this hour's peaks, and the spread of the peaks of past active hours.

    Lists hold calls then micro-dollars, a value for each horizon; means and variances are of logarithms. What every
    call touches lies side by side in `now`: sums, peaks, limits (the sums from which on it has something to say) and
    the dearest call by horizon, fading like the sums: one huge document is no surge.
    """

    def __init__(self) -> None:
        self.last_s = 0.0
        self.slot = 0
        self.now = floats(*(0.0,) * 12, *(inf,) * 6, *(0.0,) * 3)
        self.hours = 0
        self.means = zeros(6)
        self.variances = zeros(6)
        self.hour_micro_usd = 0.0
        self.usual_micro_usd_per_hour = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.last_s = row.real(self.last_s)
        self.slot = row.whole(self.slot)
        row.some(self.now, _SUMS, 6)
        row.some(self.now, _PEAKS, 6)
        self.hours = row.whole(self.hours)
        self.means = row.reals(self.means)
        self.variances = row.reals(self.variances)
        row.some(self.now, _LARGEST, 3)
        row.some(self.now, _LIMITS, 6)
        self.hour_micro_usd = row.real(self.hour_micro_usd)
        self.usual_micro_usd_per_hour = row.real(self.usual_micro_usd_per_hour)

    def usd_per_min(self) -> tuple[float, float]:
        """Return what was spent in about the last minute, and what a minute of an active hour usually takes."""
        return self.now[_SUMS + 3] / 1e6, self.usual_micro_usd_per_hour / 60e6

    def peak_usd_per_min(self) -> float:
        """Return what the busiest minute of an active hour reaches, two deviations above the mean; 0 while unknown."""
        return max(0.0, exp(self.means[3] + 2.0 * sqrt(self.variances[3])) - _FLOORS[3]) / 1e6 if self.hours else 0.0

    def rise_log(self, now_s: float) -> float | None:
        """Return how far the last ten minutes' spend is above the usual, as a logarithm; None before five hours."""
        if self.hours < 5:
            return None
        spend = self.now[_SUMS + 4] * exp((self.last_s - now_s) / HORIZONS_S[1])
        return log((spend + _FLOORS[4]) / (self.usual_micro_usd_per_hour / 6.0 + _FLOORS[4]))

    def reset(self) -> None:
        """Drop what is at hand, without learning from it."""
        self.slot = 0
        self.hour_micro_usd = 0.0
        for i in range(len(self.now)):
            if not _LIMITS <= i < _LARGEST:
                self.now[i] = 0.0


@dataclass(frozen=True)
class Surge(Detector):
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

    breach_sigmas: float = 14.0
    breach_ratio: float = 150.0
    learn_sigmas: float = 2.0
    hours_min: int = 5
    memory_hours: int = 240
    sd_min: float = 0.3
    prior_sd: float = 0.8
    prior_hours: float = 6.0

    def begin(self) -> SurgeMemory:
        """Return a memory that has seen no hour."""
        return SurgeMemory()

    def step(self, memory: SurgeMemory, scene: Scene) -> tuple[SurgeMemory, Score]:
        """Judge the fading sums, this call included, against the peaks of past hours."""
        call = scene.call
        slot = int(call.now_s / _SLOT_S)
        if slot != memory.slot:
            if memory.slot:
                self._learn(memory)
            memory.slot = slot
        passed_s, memory.last_s = call.now_s - memory.last_s, call.now_s
        now, spend = memory.now, float(call.list_micro_usd)
        memory.hour_micro_usd += spend
        for i in range(3):
            fade = exp(-passed_s / HORIZONS_S[i])
            now[i] = now[i] * fade + 1.0
            now[i + 3] = now[i + 3] * fade + spend
            faded = now[_LARGEST + i] * fade
            now[_LARGEST + i] = faded if faded > spend else spend
        return self._compare(memory, scene)

    def _compare(self, memory: SurgeMemory, scene: Scene) -> tuple[SurgeMemory, Score]:
        now = memory.now
        surprise, worst = 0.0, -1
        for j in range(6):
            value = now[j] if j < 3 else now[j] - now[_LARGEST - 3 + j]
            if value > now[_PEAKS + j]:
                now[_PEAKS + j] = value
                if value > now[_LIMITS + j]:
                    excess = self._excess(memory, j, log(value + _FLOORS[j]) - scene.common_log)
                    if excess > surprise:
                        surprise, worst = excess, j
        return memory, CALM if surprise < SPEAK_FROM else self._say(memory, surprise, worst)

    def _bar(self, memory: SurgeMemory, j: int) -> float:
        return max(self.breach_sigmas * self._sd(memory, j), log(self.breach_ratio))

    def _excess(self, memory: SurgeMemory, j: int, level: float) -> float:
        return (level - memory.means[j]) / self._bar(memory, j)

    def _sd(self, memory: SurgeMemory, j: int) -> float:
        hours = memory.hours
        pooled = (self.prior_hours * self.prior_sd**2 + hours * memory.variances[j]) / (self.prior_hours + hours)
        return max(self.sd_min, sqrt(pooled * (1 + 1 / max(1, hours))))

    def _learn(self, memory: SurgeMemory) -> None:
        memory.hours = hours = min(memory.hours + 1, self.memory_hours)
        spent, usual = memory.hour_micro_usd, memory.usual_micro_usd_per_hour
        memory.usual_micro_usd_per_hour += (min(spent, 10.0 * usual if hours > 3 else spent) - usual) / hours
        memory.hour_micro_usd = 0.0
        now = memory.now
        for j in range(6):
            peak = log(now[_PEAKS + j] + _FLOORS[j])
            clipped = peak if hours == 1 else min(peak, memory.means[j] + self.learn_sigmas * self._sd(memory, j))
            step = clipped - memory.means[j]
            memory.means[j] += step / hours
            memory.variances[j] += (step * step * (1 - 1 / hours) - memory.variances[j]) / hours
            now[_PEAKS + j] = 0.0
            if hours >= self.hours_min:
                limit_log = memory.means[j] + SPEAK_FROM * self._bar(memory, j)
                now[_LIMITS + j] = exp(min(_LOG_MAX, limit_log)) - _FLOORS[j]

    def _say(self, memory: SurgeMemory, surprise: float, j: int) -> Score:
        value = memory.now[_SUMS + j]
        times = (value + _FLOORS[j]) / exp(memory.means[j])
        seen = f"{value:,.0f} calls" if j < 3 else f"${value / 1e6:,.2f}"
        reason = f"{seen} in {_WORDS[j % 3]}, {times:,.1f} times the usual peak of its past {memory.hours} active hours"
        return Score(surprise, reason)
