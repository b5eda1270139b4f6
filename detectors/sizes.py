"""Which sizes an agent's calls usually have: a histogram of a byte a cell."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import u8

from detectors.row import Memory, Row

_CELLS: Final = 48
_CELLS_PER_NAT: Final = 4.0
_FULL: Final = 255
_PRIOR: Final = 20.0


class Sizes(Memory):
    """Counts by the logarithm of a size; once a cell is full, all are halved, so that the past weighs less.

    `seen` is their sum, and `typical` how large a part of the others an honest call is like, on the average.
    """

    def __init__(self) -> None:
        self.counts = vec[u8]([0] * _CELLS)
        self.seen = 0
        self.typical = 0.2

    def carry(self, row: Row) -> None:
        """Name the fields; what was seen is their sum."""
        counts, self.seen = self.counts, 0
        for i in range(_CELLS):
            count = row.whole(int(counts[i]))
            counts[i] = count
            self.seen += count
        self.typical = row.real(self.typical)

    def share(self, log_size: float) -> float:
        """Return the part that is about that large, within a quarter to half a nat.

        >>> sizes = Sizes()
        >>> for _ in range(300):
        ...     sizes.learn(5.0)
        >>> round(sizes.share(5.0), 2), round(sizes.share(5.2), 2), round(sizes.share(9.0), 3), sizes.seen
        (0.9, 0.9, 0.003, 172)
        """
        return self._about(_cell(log_size)) / (self.seen + _PRIOR)

    def learn(self, log_size: float) -> None:
        """Count an honest call."""
        at, part = _cell(log_size), 1.0 / (self.seen + _PRIOR)
        self.typical += part * (part * self._about(at) - self.typical)
        if int(self.counts[at]) == _FULL:
            self._halve()
        self.counts[at] += 1
        self.seen += 1

    def _about(self, at: int) -> float:
        counts = self.counts
        return int(counts[at - 1]) + int(counts[at]) + int(counts[at + 1]) + 0.5

    def _halve(self) -> None:
        counts, self.seen = self.counts, 0
        for i in range(_CELLS):
            counts[i] >>= 1
            self.seen += int(counts[i])


def _cell(log_size: float) -> int:
    return min(_CELLS - 2, 1 + int(_CELLS_PER_NAT * log_size))
