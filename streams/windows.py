"""The books of one agent: tumbling event-time windows that replay, disorder and lateness can't miscount."""

from msgspec import Struct

MINUTE_S = 60
HOUR_S = 3600
HOURS_KEPT = 26


class Usage(Struct, array_like=True, gc=False):
    """What was used in one window."""

    calls: int = 0
    tokens: int = 0
    micro_usd: int = 0

    def add(self, tokens: int, micro_usd: int) -> None:
        """Count one more call."""
        self.calls += 1
        self.tokens += tokens
        self.micro_usd += micro_usd

    def plus(self, other: "Usage") -> None:
        """Add other usage."""
        self.calls += other.calls
        self.tokens += other.tokens
        self.micro_usd += other.micro_usd

    def merge(self, other: "Usage") -> None:
        """Take the larger of each counter: repeats and disorder of cumulative counters change nothing."""
        self.calls = max(self.calls, other.calls)
        self.tokens = max(self.tokens, other.tokens)
        self.micro_usd = max(self.micro_usd, other.micro_usd)


class Ledger(Struct, array_like=True, gc=False):
    """Usage by window start in Unix seconds.

    A minute is open until the watermark passes its end and is then folded into its hour. What comes later
    than that is counted in `late`, by hour. Hours are kept for 26 hours.
    """

    minutes: dict[int, Usage] = {}
    hours: dict[int, Usage] = {}
    late: dict[int, Usage] = {}

    def add(self, at_s: float, tokens: int, micro_usd: int) -> int:
        """Count a call in its minute and return the minute's start."""
        start_s = int(at_s) // MINUTE_S * MINUTE_S
        usage = self.minutes.get(start_s)
        if usage is None:
            usage = self.minutes[start_s] = Usage()
        usage.calls += 1
        usage.tokens += tokens
        usage.micro_usd += micro_usd
        return start_s

    def add_late(self, at_s: float, tokens: int, micro_usd: int) -> int:
        """Count a call whose minute is closed in its hour and return the hour's start."""
        start_s = int(at_s) // HOUR_S * HOUR_S
        self.late.setdefault(start_s, Usage()).add(tokens, micro_usd)
        return start_s

    def advance(self, watermark_s: float) -> list[tuple[int, Usage]]:
        """Close the minutes that end at or before the watermark; return them, oldest first."""
        minutes = self.minutes
        closed = [(s, minutes[s]) for s in sorted(minutes) if s + MINUTE_S <= watermark_s]
        for start_s, usage in closed:
            del minutes[start_s]
            hour = self.hours.setdefault(start_s // HOUR_S * HOUR_S, Usage())
            hour.plus(usage)
        if closed:
            self._forget(watermark_s - HOURS_KEPT * HOUR_S)
        return closed

    def hour_total(self, start_s: int) -> Usage:
        """Everything counted so far in the hour that begins at `start_s`: closed, open and late."""
        total = Usage()
        parts = [self.hours.get(start_s), self.late.get(start_s)]
        parts += [u for s, u in self.minutes.items() if s // HOUR_S * HOUR_S == start_s]
        for part in parts:
            if part is not None:
                total.plus(part)
        return total

    def _forget(self, before_s: float) -> None:
        for table in (self.hours, self.late):
            for start_s in [s for s in table if s < before_s]:
                del table[start_s]
