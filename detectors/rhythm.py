"""How even the gaps are between calls that are alike."""

from math import log
from typing import Final

from detectors.contract import Call
from detectors.row import Memory, Row, bucket, floats
from detectors.shares import Shares

# Ratios (logarithms) of a gap to the one before it.
_NEAR: Final = floats(0.3, 0.8)
_LOOPING: Final = floats(0.62, 0.26, 0.12)
_HONEST: Final = floats(0.17, 0.25, 0.58)
_PRIOR: Final = 10.0


class Rhythm(Memory):
    """When the latest of them began and ended, the gap before it, and how even the agent's gaps usually are."""

    def __init__(self) -> None:
        self.began_s = 0.0
        self.ended_s = 0.0
        self.gap_s = 0.0
        self.usual = Shares(len(_HONEST))

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.began_s = row.real(self.began_s)
        self.ended_s = row.real(self.ended_s)
        self.gap_s = row.real(self.gap_s)
        self.usual.carry(row)

    def begin(self, call: Call) -> None:
        """Measure gaps from this call on."""
        self.began_s, self.ended_s, self.gap_s = _began(call), call.at_s, 0.0

    def overlaps(self, call: Call) -> bool:
        """Tell whether both were under way at once: another caller, not a loop."""
        return _began(call) < self.ended_s and call.at_s > self.began_s

    def evenness(self, call: Call, count_max: int, *, learn: bool) -> float:
        """Return the evidence (nats) for a loop that there is in how like the gap before it this one is."""
        gap_s, before_s = call.at_s - self.ended_s, self.gap_s
        if gap_s <= 0.0:
            return 0.0  # It was overtaken on its way.
        self.began_s, self.ended_s, self.gap_s = _began(call), call.at_s, gap_s
        if before_s <= 0.0:
            return 0.0
        kind = bucket(_NEAR, abs(log(gap_s / before_s)))
        nats = log(_LOOPING[kind] / self.usual.share(kind, _HONEST, _PRIOR))
        if learn:
            self.usual.count(kind, count_max)
        return nats


def _began(call: Call) -> float:
    """Return since when a call was surely under way, in the call's own time."""
    return call.at_s - min(2.0, 0.7 * call.latency_s)
