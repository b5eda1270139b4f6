"""Which run was started by which, as far as calls have told; bounded."""

from collections import OrderedDict

DEPTH_MAX = 64


class Lineage:
    """Remember the parent of each of the `runs_max` runs heard of last.

    What is known first stays: a later call can't give somebody else's run another parent.
    """

    def __init__(self, runs_max: int = 20_000) -> None:
        self._parent: OrderedDict[str, str] = OrderedDict()
        self._runs_max = runs_max

    def learn(self, run: str, parents: tuple[str, ...]) -> None:
        """Take in a chain of runs, nearest first."""
        known = self._parent
        for parent in parents:
            if not parent or parent == run:
                return
            if run in known:
                known.move_to_end(run)
            else:
                known[run] = parent
                if len(known) > self._runs_max:
                    known.popitem(last=False)
            run = parent

    def line(self, run: str, parents: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the run and all that are above it, each once: those it names, and those known."""
        known, top = self._parent, run
        for parent in parents:
            if known.get(top) != parent:
                return self._climb(run, parents)
            top = parent
        # It names just what is known, up to where nothing more is.
        return self._climb(run, parents) if top in known else (run, *parents)

    def _climb(self, run: str, parents: tuple[str, ...]) -> tuple[str, ...]:
        line = dict.fromkeys((run, *parents))
        for known in tuple(line):
            above = self._parent.get(known)
            while above is not None and above not in line and len(line) < DEPTH_MAX:
                line[above] = None
                above = self._parent.get(above)
        return tuple(line)
