"""How far honest agents come to a detector's bar here, and what the bar must be for that."""

from math import log
from typing import Final

from librt.vecs import vec
from mypy_extensions import u8

from detectors.row import Floats, Memory, Row

HIGH: Final = 0.7
_GRAIN: Final = 100.0
_GRAINS_MAX: Final = 255
_PRIOR_HIGH_DAYS: Final = 8.0
_STAYS_BY_DAY: Final = 0.93
_BAR_PER_LOG: Final = 0.3
_BAR_MIN: Final = 1.0
_BAR_MAX: Final = 1.5


class Highs(Memory):
    """The most that each detector said of an agent in a day, in hundredths of its bar: a byte each."""

    def __init__(self, detectors: int = 0) -> None:
        self.hundredths = vec[u8]([0] * detectors)

    def carry(self, row: Row) -> None:
        """Name the fields."""
        for i in range(len(self.hundredths)):
            self.hundredths[i] = row.whole(int(self.hundredths[i]))

    def hear(self, detector: int, value: float) -> None:
        """Keep the value if it is the day's highest."""
        hundredths = min(_GRAINS_MAX, int(value * _GRAIN))
        if hundredths > int(self.hundredths[detector]):
            self.hundredths[detector] = hundredths

    def clear(self) -> None:
        """Begin a new day, or leave out a day in which the agent was stopped."""
        for i in range(len(self.hundredths)):
            self.hundredths[i] = 0


class Calibration(Memory):
    """The days of agents that nobody stopped, and in how many of them each detector came to `HIGH` of its bar.

    A population that comes near a bar more often than the one it was measured on also passes it more often, so its
    `bars` are higher; never lower, since few high days may be chance. Peaks of a CUSUM fall off exponentially, so it
    goes by the logarithm.
    """

    def __init__(self, detectors: int = 0) -> None:
        self.agent_days = 0.0
        self.high_days = vec[float]([0.0] * detectors)
        self.bars = vec[float]([1.0] * detectors)

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.agent_days = row.real(self.agent_days)
        self.high_days = row.reals(self.high_days)
        self.bars = row.reals(self.bars)

    def turn_day(self) -> None:
        """Let the past weigh less."""
        self.agent_days *= _STAYS_BY_DAY
        for i in range(len(self.high_days)):
            self.high_days[i] *= _STAYS_BY_DAY

    def count(self, highs: Highs, usual: Floats) -> None:
        """Count a day of an agent; `usual` is how many such days a detector has in each, 0 where its bar stays."""
        self.agent_days += 1.0
        for i in range(len(usual)):
            if int(highs.hundredths[i]) >= int(HIGH * _GRAIN):
                self.high_days[i] += 1.0
            self.bars[i] = self._bar(self.high_days[i], usual[i]) if usual[i] > 0.0 else 1.0
        highs.clear()

    def _bar(self, high_days: float, usual: float) -> float:
        times = (high_days + _PRIOR_HIGH_DAYS) / (self.agent_days * usual + _PRIOR_HIGH_DAYS)
        return max(_BAR_MIN, min(_BAR_MAX, 1.0 + _BAR_PER_LOG * log(times)))
