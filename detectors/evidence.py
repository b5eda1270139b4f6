"""Sequential evidence: a sum of log-likelihood ratios that never goes below zero, and its usual peaks."""

from math import exp, log
from typing import Final

from detectors.row import Memory, Row

SLOT_S: Final = 3600.0
_RECORD_FADES_S: Final = 14 * 86_400.0


class Evidence(Memory):
    """A CUSUM in nats since `since_s`, with the highest that came to nothing in the past; it fades in two weeks."""

    def __init__(self) -> None:
        self.nats = 0.0
        self.last_s = 0.0
        self.since_s = 0.0
        self.calls = 0
        self.peak = 0.0
        self.slot = 0
        self.record = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.nats = row.real(self.nats)
        self.last_s = row.real(self.last_s)
        self.since_s = row.real(self.since_s)
        self.calls = row.whole(self.calls)
        self.peak = row.real(self.peak)
        self.slot = row.whole(self.slot)
        self.record = row.real(self.record)

    def add(self, nats: float, now_s: float, fade_s: float) -> float:
        """Add the evidence of one call to what time has left of it; return the sum."""
        slot = int(now_s / SLOT_S)
        if slot != self.slot:
            self.record *= exp((self.slot - slot) * SLOT_S / _RECORD_FADES_S) if self.slot else 1.0
            self.slot = slot
        total = self.nats * exp((self.last_s - now_s) / fade_s) + nats if self.nats != 0.0 else nats
        self.last_s = now_s
        if total <= 0.0:
            self._end()
            return 0.0
        if not self.calls:
            self.since_s = now_s
        self.calls += 1
        self.nats = total
        self.peak = max(self.peak, total)
        return total

    def bar(self, base_nats: float, berth: float, bar_max: float) -> float:
        """Return the evidence that justifies a kill: `base_nats`, or `berth` times what is usual of this scope."""
        return min(max(base_nats, berth * self.record), bar_max)

    def _end(self) -> None:
        """Only what came to nothing by itself was calm: what still goes on must not raise its own bar."""
        self.record = max(self.record, self.peak)
        self.nats = self.peak = 0.0
        self.calls = 0

    def reset(self) -> None:
        """Forget the evidence at hand, and that it was there: a kill never teaches."""
        self.nats = self.peak = 0.0
        self.calls = 0


def bar_at_rate(bar_nats: float, per_log_rate: float, nats_min: float, hourly_calls: float) -> float:
    """Return a bar that is lower where there are fewer than 60 calls an hour: few calls give chance few tries.

    >>> [round(bar_at_rate(20.0, 5.0, 10.0, calls), 1) for calls in (100.0, 21.0, 1.0)]
    [20.0, 15.0, 10.0]
    """
    return max(nats_min, bar_nats - per_log_rate * max(0.0, log(60.0 / (1.0 + hourly_calls))))


def waiting_nats(gap_s: float, hourly_calls: float) -> float:
    """Return the evidence against a loop that there is in a gap longer than usual, at least -0.6."""
    return max(-0.6, min(0.0, 0.7 - gap_s * hourly_calls / 1800.0))
