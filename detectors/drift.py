"""Hour after hour above all that past days had at that time: slow burns."""

from dataclasses import dataclass
from math import log, sqrt
from typing import Final

from detectors.contract import CALM, Detector, Scene, Score
from detectors.row import Memory, Row, floats

_HOUR_S: Final = 3600.0
_DAYS: Final = 7
_KEPT: Final = 24 * (_DAYS + 1)
_EXACT: Final = 64
_FINE: Final = 16.0
_COUNTS: Final = floats(*(float(c) if c < _EXACT else _EXACT * 2.0 ** ((c - _EXACT) / _FINE) for c in range(256)))
_SPANS: Final = (1, 3, 6, 12, 24)
_SHOWN: Final = 6
_FROM_LOG: Final = floats(0.3, 0.2, 0.15, 0.1, -0.05)
"""How far above, as a logarithm, each span must be to count at all: the longer, the surer."""


def coded(count: float) -> int:
    """Return a count of calls in one byte: exact below 64, beyond it to 2 %.

    >>> coded(63), coded(64), coded(128), coded(1e9)
    (63, 64, 80, 255)
    """
    return int(count) if count < _EXACT else min(255, _EXACT + int(_FINE * log(count / _EXACT) / log(2.0) + 0.5))


class DriftMemory(Memory):
    """The open hour's calls and those of the hours before, a byte each (see `coded`), the latest first.

    `above` is how much of all that is asked for was seen at the last full hour, `told_hour` when that was said.
    `seen` are the calls of the last six hours, `usual` the most of any past day at that time.
    """

    def __init__(self) -> None:
        self.past = b""
        self.hour = 0
        self.calls = 0
        self.above = 0.0
        self.since_hour = 0
        self.seen = 0.0
        self.usual = 0.0
        self.active = 0.0
        self.told = False
        self.told_hour = 0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.past = row.blob(self.past)
        self.hour = row.whole(self.hour)
        self.calls = row.whole(self.calls)
        self.above = row.real(self.above)
        self.since_hour = row.whole(self.since_hour)
        self.seen = row.real(self.seen)
        self.usual = row.real(self.usual)
        self.active = row.real(self.active)
        self.told = row.flag(self.told)
        self.told_hour = row.whole(self.told_hour)

    def highest(self, span: int, ago: int = 0) -> float:
        """Return the most calls that `span` hours ending `ago` hours back had, on any of seven days at that time."""
        top = 0.0
        for first in range(ago + 24, min(len(self.past) - span + 1, ago + 24 * _DAYS + 1), 24):
            top = max(top, self.sum_of(span, first))
        return top

    def sum_of(self, span: int, ago: int = 0) -> float:
        """Return the calls of `span` hours, the last of them `ago` hours before the latest full one."""
        past, total = self.past, 0.0
        for i in range(ago, min(ago + span, len(past))):
            total += _COUNTS[past[i]]
        return total


@dataclass(frozen=True)
class Drift(Detector):
    """Catches an agent that does a little more every hour, or stays above its usual for hours.

    At each full hour, the calls of the last 1, 3, 6, 12 and 24 hours are compared with the most that any of
    the past seven days had at that time. What counts is that all of them are above, not by how far: a burst
    lifts the short ones only. It warns and supports others; alone it does not kill. Fooled by growth slower than
    its memory, and by a lasting honest change, once.

    `bar`: the part of all spans that must be above for a score of 1, `span_log` how far above (a logarithm) a span
    counts in full, once it is beyond the least that it must be and `noise` deviations of chance. `busy`: a busy
    agent needs that much less. `hours_min`: hours before it speaks, at most 192. `active_min`: the part of hours that
    must have calls. `learn_times`: an hour teaches at most that many times the highest of the hours around it on past
    days. `quiet_hours`: after a warning, how long before the next.
    """

    bar: float = 1.11
    span_log: float = 0.4
    noise: float = 0.6
    busy: float = 0.03
    hours_min: int = 48
    active_min: float = 0.8
    learn_times: float = 2.5
    quiet_hours: int = 48
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
            f"{memory.seen:,.0f} calls in the last 6 hours, when no day of the past week had more than "
            f"{memory.usual:,.0f} at this time; above it for {hour - memory.since_hour} hours"
        )
        return memory, Score(value, reason)

    def _close(self, memory: DriftMemory, hour: int, common_log: float) -> None:
        calls = memory.calls
        for past in range(memory.hour, min(hour, memory.hour + 24)):
            memory.past = (bytes([coded(self._learnt(memory, calls))]) + memory.past)[:_KEPT]
            hours = len(memory.past)
            memory.active += max(0.01, 1.0 / hours) * ((calls > 0) - memory.active)
            was, memory.above = memory.above, 0.0
            if hours >= self.hours_min and memory.active >= self.active_min:
                memory.above = self._above(memory, common_log)
            if was <= 0.3 * self.bar:
                memory.since_hour = past
            self._hush(memory, past)
            calls = 0

    def _hush(self, memory: DriftMemory, hour: int) -> None:
        """Once told, say it again only if it was over for a while and comes anew."""
        if not memory.told:
            memory.told_hour = 0
        elif not memory.told_hour:
            memory.told_hour = hour
        elif hour - memory.told_hour >= self.quiet_hours:
            memory.told = memory.above > 0.3 * self.bar

    def _learnt(self, memory: DriftMemory, calls: int) -> float:
        """Return what an hour teaches; `past` doesn't hold it yet."""
        if len(memory.past) < 25:
            return float(calls)
        around = max(memory.highest(1, -1), memory.highest(3, -2) / 3.0)
        return min(float(calls), self.learn_times * around + 2.0)

    def _above(self, memory: DriftMemory, common_log: float) -> float:
        above = 0.0
        for i, span in enumerate(_SPANS):
            calls, usual = memory.sum_of(span), memory.highest(span)
            if span == _SHOWN:
                memory.seen, memory.usual = calls, usual
            apart = log((calls + 2.0) / (usual + 2.0)) - common_log - self.noise / sqrt(calls + 2.0)
            above += max(0.0, min(1.0, (apart - _FROM_LOG[i]) / self.span_log))
        busy = log(max(0.1, memory.sum_of(_KEPT) / len(memory.past)))
        return above / len(_SPANS) + self.busy * max(-2.0, min(1.0, busy - 3.0))
