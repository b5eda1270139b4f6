"""Agents that start agents that start agents."""

from dataclasses import dataclass
from math import exp, log

from detectors.contract import CALM, Detector, Scene, Score, TreeTrack
from detectors.row import Memory, Row


class FanoutMemory(Memory):
    """How many root runs this agent had, how many of them had children, and how far those went."""

    def __init__(self) -> None:
        self.roots = 0.0
        self.parents = 0.0
        self.children_record = 0
        self.depth_record = 0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.roots = row.real(self.roots)
        self.parents = row.real(self.parents)
        self.children_record = row.whole(self.children_record)
        self.depth_record = row.whole(self.depth_record)


@dataclass(frozen=True)
class Fanout(Detector):
    """Catches runs that start runs: more of them, or deeper, than this agent's ever did.

    The first child is surprising for an agent that never had any; a few more are not, since helpers come in
    groups; a child of a child is, unless it is usual of this agent. A parent
    whose context goes up and down, as when it hands out unrelated work, or that goes on for longer than this agent's
    runs do, and child calls in quick succession add to it. Fooled by a fan-out that hides its parents.

    `bar_nats`: evidence that justifies a kill. `parent_share`: share of runs with children assumed of a new agent,
    worth `prior_roots` runs. `children_free`: children of one tree that are usual for anyone.
    """

    bar_nats: float = 7.2
    parent_share: float = 0.05
    prior_roots: float = 20.0
    children_free: int = 12
    child_nats: float = 0.6
    child_call_nats: float = 1.0
    pace_s: float = 15.0
    deeper_nats: float = 4.5
    astray_max_nats: float = 4.8
    fade_s: float = 600.0
    learn_after_s: float = 1800.0
    speak_from: float = 0.5

    def begin(self) -> FanoutMemory:
        """Return a memory without runs."""
        return FanoutMemory()

    def step(self, memory: FanoutMemory, scene: Scene) -> tuple[FanoutMemory, Score]:
        """Weigh a run never seen, then judge the tree at this call."""
        tree = scene.tree
        if not scene.run.calls:
            if tree is not None and scene.depth:
                self._weigh(memory, tree, scene)
            else:
                memory.roots += 1.0
        elif tree is not None and scene.depth and scene.gap_s < self.pace_s:
            tree.child_nats = min(tree.surprise, tree.child_nats + self.child_call_nats)
        if tree is None or not tree.children:
            return memory, CALM
        span_s = scene.call.now_s - tree.first_child_s
        value = (
            (tree.nats + tree.child_nats) * exp((tree.last_child_s - scene.call.now_s) / self.fade_s) / self.bar_nats
        )
        if span_s > self.learn_after_s and value < 0.5:
            self._learn(memory, tree)
        if value < self.speak_from:
            return memory, CALM
        reason = f"{tree.children} runs started by runs, {tree.depth} levels deep, in {span_s:.0f} s"
        return memory, Score(value, reason, "tree")

    def _weigh(self, memory: FanoutMemory, tree: TreeTrack, scene: Scene) -> None:
        depth = scene.depth
        tree.last_child_s = scene.call.now_s
        tree.children += 1
        if tree.children == 1:
            tree.first_child_s = scene.call.now_s
            share = (self.parent_share * self.prior_roots + memory.parents) / (self.prior_roots + memory.roots)
            nats = min(6.0, log(1.0 / min(1.0, share)))
            nats += min(self.astray_max_nats, scene.astray_nats)
            tree.surprise = max(0.0, nats - 3.0)
            tree.nats += nats
            memory.parents += 1.0
        elif tree.children > max(self.children_free, memory.children_record):
            tree.nats += self.child_nats
        if depth > max(1, memory.depth_record):
            tree.nats += self.deeper_nats
        tree.depth = max(tree.depth, depth)

    def _learn(self, memory: FanoutMemory, tree: TreeTrack) -> None:
        widest = memory.children_record * 3 // 2 + self.children_free
        memory.children_record = max(memory.children_record, min(tree.children, widest))
        memory.depth_record = max(memory.depth_record, min(tree.depth, memory.depth_record + 1))
