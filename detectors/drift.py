"""Hour after hour above what is usual at that hour: slow burns."""

from dataclasses import dataclass
from math import log
from typing import Final

from detectors.contract import CALM, Detector, Scene, Score
from detectors.row import Memory, Row, zeros

_HOUR_S: Final = 3600.0
_START_LOG_SD: Final = 0.5


class Season(Memory):
    """What is usual of an hourly number: a level, a shape of 24 hours and a spread, all of logarithms.

    A quiet day teaches less than a busy one, so that a weekend doesn't make Monday look like a runaway.
    """

    def __init__(self) -> None:
        self.level = 0.0
        self.shape = zeros(0)
        self.days = zeros(0)
        self.sd = _START_LOG_SD
        self.hours = 0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.level = row.real(self.level)
        self.shape = row.reals(self.shape)
        self.days = row.reals(self.days)
        self.sd = row.real(self.sd)
        self.hours = row.whole(self.hours)

    def residual(self, hour: int, log_value: float) -> float:
        """Return how far above the usual of this hour of the day the value is, in logarithms."""
        if not len(self.shape):
            return 0.0
        seen = self.days[hour % 24]
        return log_value - self.level - self.shape[hour % 24] * seen / (seen + 1.0)

    def learn(self, hour: int, log_value: float, sigmas: float) -> None:
        """Learn one hour, clipped to `sigmas` above the usual."""
        if not len(self.shape):
            self.shape, self.days, self.level = zeros(24), zeros(24), log_value
        h = hour % 24
        raw = self.residual(hour, log_value)
        apart = min(raw, sigmas * self.sd)
        self.hours += 1
        slow = 0.35 if apart < 0.0 and self.hours > 24 else 1.0
        self.level += slow * max(1.0 / self.hours, 1.0 / 96.0) * apart
        self.days[h] = min(self.days[h] + 1.0, 10.0)
        step = log_value - self.level - self.shape[h] if apart == raw else apart
        self.shape[h] += slow * max(1.0 / self.days[h], 0.2) * step
        self.sd += 0.03 * (1.25 * min(abs(raw), 4 * self.sd) - self.sd)


class DriftMemory(Memory):
    """The open hour's calls, the season, and the sum of what was above it."""

    def __init__(self) -> None:
        self.season = Season()
        self.hour = 0
        self.calls = 0
        self.above = 0.0
        self.since_hour = 0
        self.usual = 0.0
        self.active = 0.0
        self.told = False
        self.seen = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.season.carry(row)
        self.hour = row.whole(self.hour)
        self.calls = row.whole(self.calls)
        self.above = row.real(self.above)
        self.since_hour = row.whole(self.since_hour)
        self.usual = row.real(self.usual)
        self.active = row.real(self.active)
        self.told = row.flag(self.told)
        self.seen = row.real(self.seen)


@dataclass(frozen=True)
class Drift(Detector):
    """Catches an agent that does a little more every hour, or stays above its usual for hours.

    Each hour's calls are compared with what is usual at that hour of the day; what is above adds up, what is below
    takes away. No hour adds more than `sigmas_max`, so one burst is no drift. It warns and supports others; alone
    it does not kill. Fooled by growth slower than its memory, and by a lasting honest change, once.

    `bar`: sum of deviations (above `slack`) that would justify a kill; `hours_min`: hours before it speaks.
    """

    bar: float = 10.9
    slack: float = 0.6
    sigmas_max: float = 2.0
    learn_sigmas: float = 1.0
    sd_min: float = 0.25
    hours_min: int = 48
    active_min: float = 0.8
    most: float = 0.9
    speak_from: float = 0.6

    def begin(self) -> DriftMemory:
        """Return a memory without hours."""
        return DriftMemory()

    def step(self, memory: DriftMemory, scene: Scene) -> tuple[DriftMemory, Score]:
        """Count the call; when an hour is over, weigh it."""
        hour = int(scene.call.now_s / _HOUR_S)
        if hour != memory.hour:
            if memory.hour:
                self._close(memory, hour, scene.common_log)
            memory.hour, memory.calls = hour, 0
        memory.calls += 1
        value = min(self.most, memory.above / self.bar)
        if value < self.speak_from:
            return memory, CALM
        reason = (
            f"{memory.seen:,.0f} calls in the last hour instead of about {memory.usual:,.0f}, "
            f"and above the usual for {hour - memory.since_hour} hours"
        )
        return memory, Score(value, reason)

    def _close(self, memory: DriftMemory, hour: int, common_log: float) -> None:
        calls = memory.calls
        for past in range(memory.hour, min(hour, memory.hour + 24)):
            log_calls = log(calls + 2.0)
            apart = memory.season.residual(past, log_calls) - common_log
            sigmas = apart / max(self.sd_min, memory.season.sd)
            steady = memory.active >= self.active_min
            if memory.season.hours >= self.hours_min and steady:
                if memory.above <= 0.0:
                    memory.since_hour = past
                memory.above = max(0.0, memory.above + max(-3.0, min(self.sigmas_max, sigmas)) - self.slack)
                memory.above = min(memory.above, 1.5 * self.bar)
                memory.told = memory.told and memory.above > 0.4 * self.bar
            memory.seen, memory.usual = float(calls), (calls + 2.0) * 2.718281828 ** (-apart) - 2.0
            memory.season.learn(past, log_calls, self.learn_sigmas if memory.above < 0.4 * self.bar else 0.2)
            memory.active += max(0.01, 1.0 / memory.season.hours) * ((calls > 0) - memory.active)
            calls = 0
