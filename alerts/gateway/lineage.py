"""Which run was started by which, as far as calls have told; bounded."""

from collections.abc import Iterable
from itertools import pairwise

from .recent import Recent

DEPTH_MAX = 64
CLIMB_MAX = 256


class Lineage:
    """Remember the parents of the `runs_max` runs heard of last, or of more.

    What is known first stays: a later call can't give somebody else's run another parent. Of a deeper run than
    `DEPTH_MAX` the nearest are told, and the root.
    """

    def __init__(self, runs_max: int = 20_000) -> None:
        self._parent = Recent(runs_max)
        # The roots of runs that are too deep to climb from.
        self._top = Recent(runs_max)

    def line(self, run: str, parents: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Take in a run and those above it, nearest first; return as scopes all that are known to be, each once."""
        known, below, is_known = self._parent.young, "run:" + run, True
        scopes = [below]
        for parent in parents:
            above = "run:" + parent
            scopes.append(above)
            if known.get(below) != above:
                is_known = False
            below = above
        chain = tuple(scopes)
        if not is_known:
            return self._learn(chain)
        # It names just what is known, up to where nothing more is.
        return chain if below not in known and below not in self._parent.old else self._climb(chain)

    def recall(self, scope: str, above: Iterable[str]) -> None:
        """Take in what an account knew before a restart: the runs among those above it, topmost first."""
        if scope.startswith("run:"):
            self._learn((scope, *reversed([each for each in above if each.startswith("run:")])))

    def _learn(self, chain: tuple[str, ...]) -> tuple[str, ...]:
        recent, top, is_all = self._parent, chain[-1], True
        for run, parent in pairwise(chain):
            known = recent.young.get(run)
            if known == parent:
                continue
            if parent in (run, "run:"):
                return self._climb(chain)
            if known is None:
                known = recent.old.get(run, parent)
                recent.put(run, known)
            is_all = is_all and known == parent
        return chain if is_all and top not in recent.young and top not in recent.old else self._climb(chain)

    def _climb(self, chain: tuple[str, ...]) -> tuple[str, ...]:
        line = dict.fromkeys(chain)
        for known in chain:
            above = self._parent.get(known)
            while above is not None and above not in line:
                if len(line) >= DEPTH_MAX:
                    line[self._top_of(tuple(line), above)] = None
                    return tuple(line)
                line[above] = None
                above = self._parent.get(above)
        return tuple(line)

    def _top_of(self, line: tuple[str, ...], above: str) -> str:
        """Return the root of a line that is too long to be climbed for each call; `above` is what comes next."""
        known = [top for each in line if (top := self._top.get(each)) is not None]
        top = known[0] if known else above
        for _ in range(CLIMB_MAX):
            further = self._parent.get(top)
            if further is None:
                break
            top = further
        self._top.put(line[0], top)
        return top
