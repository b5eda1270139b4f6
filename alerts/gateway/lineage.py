"""Which run was started by which, as far as calls have told; bounded."""

from itertools import pairwise

from .recent import Recent

DEPTH_MAX = 64


class Lineage:
    """Remember the parents of the `runs_max` runs heard of last, or of more.

    What is known first stays: a later call can't give somebody else's run another parent.
    """

    def __init__(self, runs_max: int = 20_000) -> None:
        self._parent = Recent(runs_max)

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
            while above is not None and above not in line and len(line) < DEPTH_MAX:
                line[above] = None
                above = self._parent.get(above)
        return tuple(line)
