"""Which sizes an agent's calls usually have: a histogram."""

from typing import Final

from detectors.row import Memory, Row
from detectors.shares import Shares

_CELLS: Final = 48
_CELLS_PER_NAT: Final = 4.0
_FULL: Final = 255
_PRIOR: Final = 20.0


class Sizes(Memory):
    """Counts by the logarithm of a size; once a cell is full, all are halved, so that the past weighs less.

    `typical` is how large a part of the others an honest call is like, on the average.
    """

    def __init__(self) -> None:
        self.cells = Shares(_CELLS)
        self.typical = 0.2

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.cells.carry(row)
        self.typical = row.real(self.typical)

    def share(self, log_size: float) -> float:
        """Return the part that is about that large, within a quarter to half a nat.

        >>> sizes = Sizes()
        >>> for _ in range(300):
        ...     sizes.learn(5.0)
        >>> round(sizes.share(5.0), 2), round(sizes.share(5.2), 2), round(sizes.share(9.0), 3), sizes.cells.seen
        (0.9, 0.9, 0.003, 172)
        """
        return self._about(_cell(log_size)) / (self.cells.seen + _PRIOR)

    def learn(self, log_size: float) -> None:
        """Count an honest call."""
        at, part = _cell(log_size), 1.0 / (self.cells.seen + _PRIOR)
        self.typical += part * (part * self._about(at) - self.typical)
        self.cells.count(at, _FULL)

    def _about(self, at: int) -> float:
        counts = self.cells.counts
        return int(counts[at - 1]) + int(counts[at]) + int(counts[at + 1]) + 0.5


def _cell(log_size: float) -> int:
    return min(_CELLS - 2, 1 + int(_CELLS_PER_NAT * log_size))
