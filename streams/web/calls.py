"""The newest calls by their id: whose they were, when, and what they cost."""

from array import array
from collections import deque

from msgspec import Struct

from streams.attribution import Payer
from streams.pulse import Calls, line_of


class Found(Struct, frozen=True):
    """A call that was found."""

    payer: Payer
    at_s: float
    spend_usd: float


class RecentCalls:
    """The last `kept` calls or a few more, as they came: some 50 bytes each, a million searched in 10 ms or so."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.count = 0
        self._records: deque[Calls] = deque()

    def add(self, calls: Calls) -> None:
        """Take in a record's calls; the oldest records give way."""
        if calls.payer and self.kept:
            self._records.append(calls)
            self.count += _length(calls)
            self._trim()

    def keep(self, kept: int) -> None:
        """Keep so many from now on; 0 keeps none."""
        self.kept = kept
        self._trim()

    def _trim(self) -> None:
        while self._records and (not self.kept or self.count - _length(self._records[0]) >= self.kept):
            self.count -= _length(self._records.popleft())

    def find(self, event_id: str) -> Found | None:
        """Return the call of that id, if it is among the newest."""
        line = line_of(event_id).encode("utf-8", "replace")
        wanted = b"\n%b\n" % line
        for calls in reversed(self._records):
            if line not in calls.ids:
                continue
            place = (b"\n%b\n" % calls.ids).find(wanted)
            if place >= 0:
                return _found(calls, calls.ids.count(b"\n", 0, place))
        return None

    def since_s(self) -> float:
        """Return the time of the oldest call that is still known; 0 if there is none."""
        return float(array("I", self._records[0].at_s)[0]) if self._records else 0.0


def _length(calls: Calls) -> int:
    return len(calls.payer) // 2


def _found(calls: Calls, number: int) -> Found:
    payer = calls.payers[array("H", calls.payer)[number]]
    return Found(payer, float(array("I", calls.at_s)[number]), array("Q", calls.micro_usd)[number] / 1e6)
