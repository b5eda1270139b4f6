"""Spend by lane and minute for the last hour and a bit: one block of numbers, however many lanes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.windows import MINUTE_S

MINUTES = 96
"""How far back a lane remembers."""

Numbers = NDArray[np.int64]


class Series:
    """Micro-dollars by lane (a row) and minute, in a ring over the minutes. Counters of a minute only grow."""

    def __init__(self, lanes: int = 1_024) -> None:
        self._spent: Numbers = np.zeros((lanes, MINUTES), np.int64)
        self._free = list(range(lanes - 1, -1, -1))
        self._minute = 0

    def open(self) -> int:
        """Return a new lane."""
        if not self._free:
            lanes = len(self._spent)
            self._spent = np.concatenate([self._spent, np.zeros_like(self._spent)])
            self._free = list(range(2 * lanes - 1, lanes - 1, -1))
        return self._free.pop()

    def close(self, lane: int) -> None:
        """Give a lane back."""
        self._spent[lane] = 0
        self._free.append(lane)

    def put(self, lanes: Sequence[int], minutes: Sequence[int], micro_usd: Sequence[int]) -> None:
        """Take in counters, each of a lane and a minute (Unix minutes); what is older than the ring is left out."""
        if not lanes:
            return
        self._advance(max(minutes))
        rows, when = np.asarray(lanes), np.asarray(minutes)
        kept = when > self._minute - MINUTES
        np.maximum.at(self._spent, (rows[kept], when[kept] % MINUTES), np.asarray(micro_usd, np.int64)[kept])

    def _advance(self, minute: int) -> None:
        if minute > self._minute:
            steps = min(MINUTES, minute - self._minute)
            for each in range(minute - steps + 1, minute + 1):
                self._spent[:, each % MINUTES] = 0
            self._minute = minute

    def rates(self, now_s: float) -> NDArray[np.float64]:
        """Return each lane's micro-dollars in the minute before `now_s`, as if the minute before were spent evenly."""
        share = now_s % MINUTE_S / MINUTE_S
        current, before = self._column(int(now_s) // MINUTE_S), self._column(int(now_s) // MINUTE_S - 1)
        rates: NDArray[np.float64] = current + before * (1.0 - share)
        return rates

    def _column(self, minute: int) -> Numbers:
        known = self._minute - MINUTES < minute <= self._minute
        return self._spent[:, minute % MINUTES] if known else np.zeros(len(self._spent), np.int64)

    def lately(self, lanes: list[int], now_s: float, minutes: int) -> Numbers:
        """Return the sum over the lanes by minute, oldest first, the last one being that of `now_s`."""
        last = int(now_s) // MINUTE_S
        block = self._spent[lanes]
        known = range(last - minutes + 1, last + 1)
        sums = [block[:, m % MINUTES].sum() if self._minute - MINUTES < m <= self._minute else 0 for m in known]
        return np.asarray(sums, np.int64)
