"""The books of one agent: tumbling event-time windows that replay, disorder and lateness can't miscount."""

from typing import Final

from mypy_extensions import mypyc_attr

from detectors.row import Memory, Row
from streams.usage import Usage

__all__ = ["HOURS_KEPT", "HOUR_S", "MINUTE_S", "Count", "Ledger", "Usage"]

MINUTE_S: Final = 60
HOUR_S: Final = 3600
HOURS_KEPT: Final = 26


def window_of(at_s: float, window_s: int) -> int:
    """Return the start of the window of so many seconds that a time falls into.

    >>> window_of(3725.5, MINUTE_S)
    3720
    """
    return int(at_s) // window_s * window_s


@mypyc_attr(acyclic=True)
class Count(Memory):
    """What was used in one window, counted; `fresh` while nobody was told of the latest call."""

    def __init__(self) -> None:
        self.calls = 0
        self.tokens = 0
        self.micro_usd = 0
        self.fresh = False

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.calls = row.whole(self.calls)
        self.tokens = row.whole(self.tokens)
        self.micro_usd = row.whole(self.micro_usd)

    def add(self, tokens: int, micro_usd: int) -> None:
        """Count one more call."""
        self.calls += 1
        self.tokens += tokens
        self.micro_usd += micro_usd

    def plus(self, other: "Count") -> None:
        """Add other counts."""
        self.calls += other.calls
        self.tokens += other.tokens
        self.micro_usd += other.micro_usd

    def merge(self, other: Usage) -> None:
        """Take the larger of each counter: repeats and disorder of cumulative counters change nothing."""
        self.calls = max(self.calls, other.calls)
        self.tokens = max(self.tokens, other.tokens)
        self.micro_usd = max(self.micro_usd, other.micro_usd)

    def usage(self) -> Usage:
        """Return a copy for the wire."""
        return Usage(self.calls, self.tokens, self.micro_usd)


class Ledger(Memory):
    """Usage by window start in Unix seconds.

    A minute is open until the watermark passes its end and is then folded into its hour. What comes later
    than that is counted in `late`, by hour. Hours are kept for 26 hours.
    """

    def __init__(self) -> None:
        self.minutes: dict[int, Count] = {}
        self.hours: dict[int, Count] = {}
        self.late: dict[int, Count] = {}
        self._latest_s = 0.0
        self._latest: Count | None = None

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.minutes = _carried(row, self.minutes)
        self.hours = _carried(row, self.hours)
        self.late = _carried(row, self.late)

    def add(self, at_s: float, tokens: int, micro_usd: int) -> Count:
        """Count a call in its minute, and return that minute's count."""
        count, start_s = self._latest, self._latest_s
        if count is None or not start_s <= at_s < start_s + MINUTE_S:
            count = self._open(window_of(at_s, MINUTE_S))
        count.add(tokens, micro_usd)
        return count

    def _open(self, start_s: int) -> Count:
        count = self.minutes.get(start_s)
        if count is None:
            count = self.minutes[start_s] = Count()
        self._latest_s, self._latest = float(start_s), count
        return count

    def add_late(self, at_s: float, tokens: int, micro_usd: int) -> Count:
        """Count a call whose minute is closed in its hour, and return what came late for that hour."""
        count = self.late.setdefault(window_of(at_s, HOUR_S), Count())
        count.add(tokens, micro_usd)
        return count

    def advance(self, watermark_s: float) -> bool:
        """Close the minutes that end at or before the watermark; tell whether there were any."""
        minutes = self.minutes
        closed = [s for s in minutes if s + MINUTE_S <= watermark_s]
        self._latest = None
        for start_s in closed:
            hour_s = start_s // HOUR_S * HOUR_S
            hour = self.hours.get(hour_s)
            if hour is None:
                hour = self.hours[hour_s] = Count()
                _forget(self.hours, watermark_s - HOURS_KEPT * HOUR_S)
                _forget(self.late, watermark_s - HOURS_KEPT * HOUR_S)
            hour.plus(minutes.pop(start_s))
        return bool(closed)

    def hour_total(self, start_s: int) -> Usage:
        """Everything counted so far in the hour that begins at `start_s`: closed, open and late."""
        total = Count()
        parts = [self.hours.get(start_s), self.late.get(start_s)]
        parts += [u for s, u in self.minutes.items() if s // HOUR_S * HOUR_S == start_s]
        for part in parts:
            if part is not None:
                total.plus(part)
        return total.usage()


def _carried(row: Row, table: dict[int, Count]) -> dict[int, Count]:
    starts = row.wholes(list(table))
    if row.unpacking:
        table = {start_s: Count() for start_s in starts}
    for count in table.values():
        count.carry(row)
    return table


def _forget(table: dict[int, Count], before_s: float) -> None:
    for start_s in [s for s in table if s < before_s]:
        del table[start_s]
