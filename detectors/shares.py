"""How often each of a few kinds occurs: counted, beside what is usual of agents at large."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i16

from detectors.row import Floats, Memory, Row

_FULL: Final = 32_767


class Shares(Memory):
    """Counts by kind; `seen` is their sum."""

    def __init__(self, kinds: int = 0) -> None:
        self.counts = vec[i16]([0] * kinds)
        self.seen = 0

    def carry(self, row: Row) -> None:
        """Name the fields; what was seen is their sum."""
        counts, self.seen = self.counts, 0
        for i in range(len(counts)):
            count = row.whole(int(counts[i]))
            counts[i] = count
            self.seen += count

    def share(self, kind: int, usual: Floats, prior: float) -> float:
        """Return the part that is of this kind; `usual` counts for as much as `prior` calls.

        >>> shares = Shares(2)
        >>> shares.count(0, 100)
        >>> shares.share(0, vec[float]([0.1, 0.9]), 9.0)
        0.19
        """
        return (int(self.counts[kind]) + prior * usual[kind]) / (self.seen + prior)

    def count(self, kind: int, count_max: int) -> None:
        """Count one more; where that would be more than `count_max`, all are halved first: the past weighs less."""
        counts = self.counts
        if int(counts[kind]) >= min(count_max, _FULL):
            self.seen = 0
            for i in range(len(counts)):
                counts[i] >>= 1
                self.seen += int(counts[i])
        counts[kind] += 1
        self.seen += 1
