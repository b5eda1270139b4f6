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

    `seen` is their sum, and `typical` the part of the others that is about as large as an average one.
    """

    def __init__(self) -> None:
        self.counts = vec[u8]([0] * _CELLS)
        self.seen = 0
        self.typical = 0.2

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.counts = vec[u8](list(row.blob(bytes(list(self.counts)))))
        self.seen = row.whole(self.seen)
        self.typical = row.real(self.typical)

    def share(self, log_size: float) -> float:
        """Return the part that is about that large, within a quarter to half a nat.

        >>> sizes = Sizes()
        >>> for _ in range(300):
        ...     sizes.learn(5.0)
        >>> round(sizes.share(5.0), 2), round(sizes.share(5.2), 2), round(sizes.share(9.0), 3), sizes.seen
        (0.9, 0.9, 0.003, 172)
        """
        counts, at = self.counts, _cell(log_size)
        about = int(counts[at - 1]) + int(counts[at]) + int(counts[at + 1])
        return (about + 0.5) / (self.seen + _PRIOR)

    def learn(self, log_size: float) -> None:
        """Count an honest call."""
        self.typical += (self.share(log_size) - self.typical) / (self.seen + _PRIOR)
        at = _cell(log_size)
        if int(self.counts[at]) == _FULL:
            self._halve()
        self.counts[at] += 1
        self.seen += 1

    def _halve(self) -> None:
        counts, self.seen = self.counts, 0
        for i in range(_CELLS):
            counts[i] >>= 1
            self.seen += int(counts[i])


def _cell(log_size: float) -> int:
    return min(_CELLS - 2, 1 + int(_CELLS_PER_NAT * log_size))
