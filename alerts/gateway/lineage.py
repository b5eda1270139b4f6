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

    def line(self, run: str, parents: tuple[str, ...] = ()) -> dict[str, None]:
        """Learn the chain of runs, nearest first; return the run and all that are above it, each once."""
        line = {run: None}
        child = run
        for parent in parents:
            if not parent or parent == child:
                break
            line[parent] = None
            self._learn(child, parent)
            child = parent
        for known in tuple(line):
            above = self._parent.get(known)
            while above is not None and above not in line and len(line) < DEPTH_MAX:
                line[above] = None
                above = self._parent.get(above)
        return line

    def _learn(self, run: str, parent: str) -> None:
        if run in self._parent:
            self._parent.move_to_end(run)
            return
        self._parent[run] = parent
        if len(self._parent) > self._runs_max:
            self._parent.popitem(last=False)
