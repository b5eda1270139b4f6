"""Sequential evidence: a sum of log-likelihood ratios that never goes below zero, and its usual peaks."""

from math import exp

from msgspec import Struct

SLOT_S = 3600.0
_RECORD_FADES_S = 14 * 86_400.0


class Evidence(Struct, array_like=True, gc=False):
    """A CUSUM in nats since `since_s`, with the highest that calm hours of the past have reached."""

    nats: float = 0.0
    last_s: float = 0.0
    since_s: float = 0.0
    calls: int = 0
    peak: float = 0.0
    slot: int = 0
    record: float = 0.0

    def add(self, nats: float, now_s: float, fade_s: float) -> float:
        """Add the evidence of one call to what time has left of it; return the sum."""
        slot = int(now_s / SLOT_S)
        if slot != self.slot:
            self._close(slot)
        total = self.nats * exp((self.last_s - now_s) / fade_s) + nats if self.nats else nats
        self.last_s = now_s
        if total <= 0.0:
            self.nats = 0.0
            self.calls = 0
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

    def _close(self, slot: int) -> None:
        if self.slot:
            self.record *= exp((self.slot - slot) * SLOT_S / _RECORD_FADES_S)
            self.record = max(self.record, self.peak)
        self.slot = slot
        self.peak = 0.0

    def reset(self) -> None:
        """Forget the evidence at hand, and that it was there: a kill never teaches."""
        self.nats = self.peak = 0.0
        self.calls = 0
