"""The newest calls by their id: whose they were, when, and what they cost. Memory is fixed when it is made."""

import numpy as np
from msgspec import Struct

from streams.attribution import Payer
from streams.pulse import Calls, digest_of

PAYERS_MAX = 100_000


class Found(Struct, frozen=True):
    """A call that was found."""

    payer: Payer
    at_s: float
    spend_usd: float


class RecentCalls:
    """A ring of the last `kept` calls: 24 bytes each, searched from end to end in about a millisecond a million."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.seen = 0
        self._digests = np.zeros(kept, np.uint64)
        self._payer = np.zeros(kept, np.uint32)
        self._at_s = np.zeros(kept, np.uint32)
        self._micro_usd = np.zeros(kept, np.uint64)
        self._payers: list[Payer] = []
        self._numbers: dict[Payer, int] = {}

    def add(self, calls: Calls) -> None:
        """Take in a pulse's calls; the oldest give way."""
        if len(self._payers) + len(calls.payers) > PAYERS_MAX:
            self._forget()
        numbers = np.asarray([self._number(payer) for payer in calls.payers], np.uint32)
        digests = np.frombuffer(calls.digests, np.uint64)
        if not len(digests):
            return
        places = (self.seen + np.arange(len(digests))) % self.kept
        self._digests[places] = digests
        self._payer[places] = numbers[np.frombuffer(calls.payer, np.uint16)]
        self._at_s[places] = np.frombuffer(calls.at_s, np.uint32)
        self._micro_usd[places] = np.frombuffer(calls.micro_usd, np.uint64)
        self.seen += len(digests)

    def _number(self, payer: Payer) -> int:
        number = self._numbers.get(payer)
        if number is None:
            number = self._numbers[payer] = len(self._payers)
            self._payers.append(payer)
        return number

    def _forget(self) -> None:
        """Payers are nearly as many as calls: begin anew rather than grow."""
        self._payers.clear()
        self._numbers.clear()
        self._digests[:] = 0
        self.seen = 0

    def find(self, event_id: str) -> Found | None:
        """Return the call of that id, if it is among the newest."""
        (places,) = np.nonzero(self._digests == np.uint64(digest_of(event_id)))
        if not len(places):
            return None
        place = int(places[-1])
        payer = self._payers[int(self._payer[place])]
        return Found(payer, float(self._at_s[place]), int(self._micro_usd[place]) / 1e6)

    def since_s(self) -> float:
        """Return the time of the oldest call that is still known; 0 if there is none."""
        count = min(self.seen, self.kept)
        return float(self._at_s[self.seen % self.kept if count == self.kept else 0]) if count else 0.0
