"""The judge's rows of one shard, and which of them have changed."""

from collections.abc import Iterable

from msgspec import Struct, msgpack

from detectors.memory import AgentMemory, ShardMemory, TreeMemory
from detectors.team import TeamMemory

RUN_IDLE_S = 86_400.0
AGENT_IDLE_S = 30 * 86_400.0
_TYPES: dict[str, type[Struct]] = {
    "agents": AgentMemory,
    "trees": TreeMemory,
    "teams": TeamMemory,
    "shard": ShardMemory,
}
_encode = msgpack.Encoder().encode
_decoders = {table: msgpack.Decoder(kind) for table, kind in _TYPES.items()}


def family(agent: str) -> str:
    """Return the agent that a sub-agent belongs to.

    >>> family("ag-1/sub2")
    'ag-1'
    """
    return agent.partition("/")[0]


class JudgeState:
    """Tables by scope. The engine writes what `drain` gives out and hands it back to `restore`."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentMemory] = {}
        self.trees: dict[str, TreeMemory] = {}
        self.teams: dict[str, TeamMemory] = {}
        self.shard = ShardMemory([])
        self.root_of: dict[str, str] = {}
        """Derived from the trees: the root of each member run."""
        self.touched: set[tuple[str, str]] = set()

    def drain(self) -> dict[tuple[str, str], bytes | None]:
        """Return the rows changed since the last call by (table, key); None for a row that is gone."""
        changed = {(table, key): self._row(table, key) for table, key in self.touched}
        self.touched.clear()
        return changed

    def _row(self, table: str, key: str) -> bytes | None:
        row = self.shard if table == "shard" else getattr(self, table).get(key)
        return None if row is None else _encode(row)

    def restore(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Take back the (table, key, value) that `drain` gave out; a table this version doesn't know is left."""
        for table, key, value in rows:
            if table not in _decoders:
                continue
            row = _decoders[table].decode(value)
            if isinstance(row, ShardMemory):
                self.shard = row
            else:
                getattr(self, table)[key] = row
            if isinstance(row, TreeMemory):
                self.root_of.update(dict.fromkeys(row.depths, key))

    def tree(self, root: str, agent: str, now_s: float) -> TreeMemory:
        """Return the tree of a root run, begun if need be."""
        tree = self.trees.get(root)
        if tree is None:
            tree = self.trees[root] = TreeMemory(root, agent, now_s, {root: 0})
            self.root_of[root] = root
        return tree

    def evict(self, now_s: float) -> None:
        """Forget runs idle for a day and agents idle for a month, unless they are killed."""
        for root in [r for r, t in self.trees.items() if max(t.last_s, t.blocked_until_s) < now_s - RUN_IDLE_S]:
            for run in self.trees.pop(root).depths:
                self.root_of.pop(run, None)
            self.touched.add(("trees", root))
        for name in [n for n, a in self.agents.items() if a.last_s < now_s - AGENT_IDLE_S and not a.blocked]:
            del self.agents[name]
            self.touched.add(("agents", name))
        for memory in self.agents.values():
            for run in [r for r, t in memory.runs.items() if t.last_s < now_s - RUN_IDLE_S]:
                del memory.runs[run]
