"""The judge's rows of one shard, and which of them have changed."""

from collections.abc import Iterable
from typing import Final

from detectors.calibration import Calibration, Highs
from detectors.contract import Call, RunTrack, TreeTrack
from detectors.evidence import Evidence
from detectors.memory import KINDS, RUN_IDLE_S, AgentMemory, ShardMemory, Slot, TreeMemory
from detectors.price import Uses
from detectors.rhythm import Rhythm
from detectors.row import Memory, pack, unpack
from detectors.shares import Shares
from detectors.sizes import Sizes
from detectors.table import Table
from detectors.team import Member, TeamMemory

_SLOT_S: Final = 60.0
_SLOTS_KEPT: Final = 4
_MEMBERS_KEPT: Final = 256
AGENT_IDLE_S: Final = 30 * 86_400.0

OF_AGENTS: Final[tuple[type[Memory], ...]] = (
    *(AgentMemory, RunTrack, *KINDS, Evidence, Sizes, Shares, Rhythm, Uses),
    *(TreeMemory, TreeTrack, ShardMemory, Slot),
    Highs,
    Calibration,
)
OF_TEAMS: Final[tuple[type[Memory], ...]] = (TeamMemory, Member)
"""All kinds of memory that rows consist of."""


def family(agent: str) -> str:
    """Return the agent that a sub-agent belongs to.

    >>> family("ag-1/sub2")
    'ag-1'
    """
    return agent.partition("/")[0] if "/" in agent else agent


class Home:
    """Where what is known of an agent was found last, for who judges its next call."""

    def __init__(self, agent: str) -> None:
        """`agent` may be a sub-agent."""
        self.agent = family(agent)
        self.memory: AgentMemory | None = None
        self.turn = 0


class JudgeState:
    """Tables by scope. The engine writes what `drain` gives out and hands it back to `restore`."""

    def __init__(self) -> None:
        self.agents: Table[AgentMemory] = Table(AgentMemory)
        self.trees: dict[str, TreeMemory] = {}
        self.teams: dict[str, TeamMemory] = {}
        self.shard = ShardMemory()
        self.root_of: dict[str, str] = {}
        """Derived from the trees: the root of each member run."""
        self.touched: set[tuple[str, str]] = set()

    def agent(self, name: str, now_s: float) -> AgentMemory:
        """Return what is known of an agent, begun if need be, to be changed in place."""
        memory = self.agents.get(name)
        if memory is None:
            memory = AgentMemory(now_s)
            self.agents[name] = memory
        self._touch(name, memory)
        return memory

    def at(self, home: Home, now_s: float) -> AgentMemory:
        """Do as `agent`, without a look-up if nothing has changed since the last one."""
        memory = home.memory
        if memory is None or home.turn != self.agents.turn:
            memory = home.memory = self.agent(home.agent, now_s)
            home.turn = self.agents.turn
        else:
            self._touch(home.agent, memory)
        return memory

    def _touch(self, name: str, memory: AgentMemory) -> None:
        self.agents.touch(name, memory)
        if memory.swept_s < self.shard.evicted_s:
            memory.sweep(self.shard.evicted_s)

    def drain(self) -> dict[tuple[str, str], bytes | None]:
        """Return the rows changed since the last call by (table, key); None for a row that is gone."""
        changed = {(table, key): self._row(table, key) for table, key in self.touched}
        for name, row in self.agents.drain().items():
            changed["agents", name] = row
        self.touched.clear()
        return changed

    def _row(self, table: str, key: str) -> bytes | None:
        if table == "trees":
            tree = self.trees.get(key)
            return None if tree is None else pack(tree)
        if table == "shard":
            return pack(self.shard)
        team = self.teams.get(key)
        return None if team is None else pack(team)

    def restore(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Take back the (table, key, value) that `drain` gave out; a table this version doesn't know is left."""
        for table, key, value in rows:
            if table == "agents":
                self.agents.restore(key, value)
            elif table == "trees":
                tree: TreeMemory = unpack(TreeMemory(), value)
                self.trees[key] = tree
                for run in tree.depths:
                    self.root_of[run] = key
            elif table == "shard":
                self.shard = unpack(ShardMemory(), value)
            elif table == "teams":
                self.teams[key] = unpack(TeamMemory(), value)

    def tree(self, root: str, agent: str, now_s: float) -> TreeMemory:
        """Return the tree of a root run, begun if need be."""
        tree = self.trees.get(root)
        if tree is None:
            tree = self.trees[root] = TreeMemory(root, agent, now_s)
            self.root_of[root] = root
        return tree

    def tree_of(self, call: Call) -> TreeMemory | None:
        """Return the tree that the call's run is part of; a run with a parent joins its parent's tree."""
        root = self.root_of.get(call.run)
        if root is None:
            if not call.parent_run or not call.run:
                return None
            root = self.root_of.get(call.parent_run, call.parent_run)
        tree = self.tree(root, family(call.agent), call.now_s)
        if call.run not in self.root_of and len(tree.depths) < _MEMBERS_KEPT:
            tree.depths[call.run] = tree.depths.get(call.parent_run, 0) + 1
            self.root_of[call.run] = root
        tree.last_s = call.now_s
        self.touched.add(("trees", root))
        return tree

    def failing_share(self, call: Call, *, fresh: bool) -> float:
        """Count a call in its minute unless it is a retry; return the share that failed in the minutes before."""
        shard = self.shard
        minute = int(call.now_s / _SLOT_S)
        if shard.slot.minute < minute:
            slots = shard.slots
            calls, failed = sum(s.calls for s in slots), sum(s.failed for s in slots)
            shard.failing_share = failed / calls if calls >= 20 else 0.0
            shard.slot = Slot(minute)
            slots.append(shard.slot)
            if len(slots) > _SLOTS_KEPT:
                del slots[0]
            shard.turn_minute(call.now_s)
            self.touched.add(("shard", ""))
        if fresh:
            shard.slot.calls += 1
            if call.failed:
                shard.slot.failed += 1
        return shard.failing_share

    def common_log(self, call: Call, memory: AgentMemory) -> float:
        """Let the agent vote once a minute on how far above its usual it is; return what all have in common."""
        surge = memory.surge
        if surge is not None and int(memory.last_s / _SLOT_S) < int(call.now_s / _SLOT_S):
            rise_log = surge.rise_log(call.now_s)
            if rise_log is not None:
                self.shard.vote(rise_log)
        return self.shard.common_log

    def evict(self, now_s: float) -> None:
        """Forget runs idle for a day and agents idle for a month, unless they are killed (a run: for a week)."""
        for root in [r for r, t in self.trees.items() if _ended(t, now_s)]:
            for run in self.trees.pop(root).depths:
                self.root_of.pop(run, None)
            self.touched.add(("trees", root))
        for name in self.agents.idle_since(now_s - AGENT_IDLE_S):
            if not self.agents.peek(name).blocked:
                del self.agents[name]
        self.shard.evicted_s = now_s
        self.touched.add(("shard", ""))


def _ended(tree: TreeMemory, now_s: float) -> bool:
    idle_s = now_s - tree.last_s
    return idle_s > 7 * RUN_IDLE_S or (idle_s > RUN_IDLE_S and tree.blocked_until_s < now_s)
