"""When a worker that has work makes no progress, and had better be restarted."""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

STALL_S = 60.0
BEHIND_RECORDS, PATIENCE = 10_000, 10
"""With so many records waiting elsewhere a partition may wait for its turn: then it has so many times as long."""


def stalled(lag: int, last_progress_s: float, now_s: float, stall_s: float = STALL_S) -> bool:
    """Say whether there is work (`lag` records) and none of it was done for `stall_s`.

    >>> stalled(lag=5, last_progress_s=0, now_s=61), stalled(lag=0, last_progress_s=0, now_s=61)
    (True, False)
    """
    return lag > 0 and now_s - last_progress_s >= stall_s


class Standing(Protocol):
    """Where a partition stands."""

    @property
    def lag(self) -> int: ...  # noqa: D102

    @property
    def done(self) -> int | None: ...  # noqa: D102


Standings = Mapping[tuple[str, int], Standing]


class Underway(Struct, frozen=True):
    """Where a partition stands, in the middle of a batch too: `done` is no offset, but grows with all that is done."""

    lag: int
    done: int | None


def underway(standings: Standings, applied: Mapping[tuple[str, int], int]) -> Standings:
    """Add to what is acknowledged what has been applied: a batch may take longer than a stall.

    >>> underway({("e", 0): Underway(9, 100), ("e", 1): Underway(9, None)}, {("e", 0): 150})
    {('e', 0): Underway(lag=9, done=250), ('e', 1): Underway(lag=9, done=None)}
    """
    return {
        partition: Underway(found.lag, None if found.done is None else found.done + applied.get(partition, 0))
        for partition, found in standings.items()
    }


class Liveness(Struct, frozen=True):
    """What a probe is told."""

    lag: int
    idle_s: float
    """Since the last progress, or since there was last nothing to do."""
    stalled: bool
    where: str = ""
    """The partition that has stood still for longest."""

    @property
    def trouble(self) -> str:
        """What a stall is, in words."""
        return f"no progress{self.where and f' in {self.where}'} for {self.idle_s:.0f} s while {self.lag} records wait"


class Watchdog:
    """Watches the partitions of a worker; ask `look` every few seconds, and end the process when it says stalled.

    Partitions between two lives (rebalance, recovery) aren't seen; that counts as standing still too, if there was work
    when they were last seen.
    """

    def __init__(self, clock_s: Callable[[], float], stall_s: float = STALL_S) -> None:
        self._clock_s, self._stall_s = clock_s, stall_s
        self._done: dict[tuple[str, int], int] = {}
        self._progress_s: dict[tuple[str, int], float] = {}
        self._waiting = 0
        self._seen_s = clock_s()

    def look(self, standings: Standings) -> Liveness:
        """Compare with the last look, partition by partition: one that stands still hides behind the others."""
        now_s = self._clock_s()
        if not standings:
            return self._verdict(self._waiting, self._seen_s, now_s, self._stall_s)
        self._seen_s = now_s
        for partition, standing in standings.items():
            moved = standing.done is not None and standing.done != self._done.get(partition)
            if moved and standing.done is not None:
                self._done[partition] = standing.done
            if moved or standing.lag == 0 or partition not in self._progress_s:
                self._progress_s[partition] = now_s
        for gone in self._progress_s.keys() - standings.keys():
            del self._progress_s[gone]
            self._done.pop(gone, None)
        self._waiting = sum(standing.lag for standing in standings.values())
        worst = min(self._progress_s, key=self._progress_s.__getitem__)
        others_move = now_s - max(self._progress_s.values()) < self._stall_s
        in_turn = others_move and self._waiting - standings[worst].lag >= BEHIND_RECORDS
        stall_s = self._stall_s * (PATIENCE if in_turn else 1)
        return self._verdict(self._waiting, self._progress_s[worst], now_s, stall_s, f"{worst[0]}/{worst[1]}")

    def _verdict(self, lag: int, since_s: float, now_s: float, stall_s: float, where: str = "") -> Liveness:
        return Liveness(lag, now_s - since_s, stalled(lag, since_s, now_s, stall_s), where)
