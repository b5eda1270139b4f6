"""A general-purpose anomaly detector for one series of numbers."""

from dataclasses import dataclass
from math import exp, isfinite

from msgspec import Struct, field

from detectors.series_novelty import Novelty, nearest, remember, surprise

WEEK_S = 604_800.0
VALUE_MAX = 1e150


@dataclass(frozen=True, slots=True)
class SeriesParameters:
    """What the detector may be told; the defaults suit a series of any unit, a minute to an hour a step."""

    warmup_steps: int = 50
    smoothing_steps: int = 3
    week_slots: int = 168
    slot_learning: float = 0.2
    local_learning: float = 0.05
    known_max: int = 2048
    tail_count: int = 32
    tail_steepness: float = 2.0  # A record counts by its size: many series have noisy tails.
    rest_steps: float = 200.0


class SeriesMemory(Struct):
    """What is known of one series; numbers only, so that it can be kept and handed back."""

    steps: int = 0
    recent: list[float] = field(default_factory=list)
    local_mean: float = 0.0
    slot_means: list[float] = field(default_factory=list)
    slot_counts: list[int] = field(default_factory=list)
    views: list[Novelty] = field(default_factory=lambda: [Novelty(), Novelty(), Novelty()])
    peak: float = 0.0


class Series:
    """Judge each value of a series by how far it lies from anything seen before.

    Three views are each compared with their own past: the value, the mean of the last few values, and what
    the value leaves over the usual one at this hour of the week. A distance is turned into the share of past
    distances as large; the views' surprises are averaged; a surprise lower than the last peak, which fades over
    `rest_steps`, is silent, so that one anomaly gives one alarm. It scores first and learns second.
    """

    def __init__(self, parameters: SeriesParameters | None = None, memory: SeriesMemory | None = None) -> None:
        self.parameters = parameters or SeriesParameters()
        self.memory = memory or SeriesMemory()
        if not self.memory.slot_means:
            self.memory.slot_means = [0.0] * self.parameters.week_slots
            self.memory.slot_counts = [0] * self.parameters.week_slots
        self._fading = exp(-1.0 / self.parameters.rest_steps)

    def step(self, ts_s: float, value: float) -> float:
        """Return the anomaly likelihood of `value` at `ts_s` (Unix time), in [0, 1]; a value not finite is skipped."""
        if not (isfinite(value) and isfinite(ts_s)):
            return 0.0
        value = max(-VALUE_MAX, min(VALUE_MAX, value))
        p, memory = self.parameters, self.memory
        memory.steps += 1
        memory.recent = [*memory.recent, value][-p.smoothing_steps :]
        smooth = sum(memory.recent) / len(memory.recent)
        views = ((value, 1), (smooth, p.smoothing_steps), (self._beyond_usual(ts_s, value), 1))
        surprises = [self._surprise(view, *seen) for view, seen in zip(memory.views, views, strict=True)]
        if memory.steps <= p.warmup_steps:
            return 0.0
        return self._one_alarm(sum(surprises) / len(surprises))

    def _surprise(self, view: Novelty, value: float, wait_steps: int) -> float:
        """The newest values wait before they are known, for neighbours in time are alike."""
        distance = nearest(view.known, value)
        view.waiting.append(value)
        if len(view.waiting) > wait_steps:
            remember(view.known, view.waiting.pop(0), self.parameters.known_max)
        return surprise(view.rarity, distance, self.parameters.tail_count, self.parameters.tail_steepness)

    def _beyond_usual(self, ts_s: float, value: float) -> float:
        """Return what `value` leaves over the usual of its slot of the week, then learn that slot."""
        p, memory = self.parameters, self.memory
        if memory.steps == 1:
            memory.local_mean = value
        slot = min(p.week_slots - 1, int(ts_s % WEEK_S / WEEK_S * p.week_slots))
        seen = memory.slot_counts[slot]
        rest = value - (memory.slot_means[slot] if seen else memory.local_mean)
        learning = max(p.slot_learning, 1.0 / (seen + 1))
        memory.slot_means[slot] += learning * (value - memory.slot_means[slot])
        memory.slot_counts[slot] = seen + 1
        memory.local_mean += p.local_learning * (value - memory.local_mean)
        return rest

    def _one_alarm(self, surprise_now: float) -> float:
        self.memory.peak *= self._fading
        if surprise_now <= self.memory.peak:
            return 0.0
        self.memory.peak = surprise_now
        return float(1.0 - 10.0**-surprise_now)


def nab(info: dict[str, object]) -> Series:  # noqa: ARG001
    """Return a fresh detector for a file of the Numenta Anomaly Benchmark; nothing about the file is used."""
    return Series()
