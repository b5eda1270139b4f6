"""What has been stopped and what may work again, as the judge's memory knows it."""

from math import inf

from detectors.contract import Call
from detectors.memory import AgentMemory, TreeMemory
from detectors.state import JudgeState, family
from detectors.team import TeamMemory


def killed(state: JudgeState, scope: str, now_s: float, until_s: float | None) -> None:
    """Note that a scope is killed or held until `until_s`; None means until it is released."""
    until_s = inf if until_s is None else until_s
    kind, _, name = scope.partition(":")
    if kind == "agent":
        memory = state.agent(family(name), now_s)
        memory.blocked[name] = until_s
        memory.calm()
    elif kind == "run":
        tree = state.tree(name, "", now_s)
        tree.blocked_until_s = until_s
        state.touched.add(("trees", name))
        if (owner := state.agents.get(tree.agent)) is not None:
            owner.calm()
            state.agents.touch(tree.agent, owner)
    elif kind == "team":
        state.teams.setdefault(name, TeamMemory()).blocked_until_s = until_s
        state.touched.add(("teams", name))


def released(state: JudgeState, scope: str, *, planned: bool) -> None:
    """Note that a person lets a scope work again: its limits count anew, those of a run no longer.

    `planned` says that what it did was meant, so it teaches.
    """
    kind, _, name = scope.partition(":")
    agent = family(name)
    if kind == "run" and (tree := state.trees.get(name)) is not None:
        tree.blocked_until_s = 0.0
        tree.pardoned = True
        tree.track.nats = tree.track.child_nats = 0.0
        state.touched.add(("trees", name))
        agent = tree.agent
    elif kind == "team" and (team := state.teams.get(name)) is not None:
        team.blocked_until_s = 0.0
        state.touched.add(("teams", name))
    if kind != "team" and (memory := state.agents.get(agent)) is not None:
        memory.blocked.pop(name, None)
        if kind == "agent":
            memory.ceiling = None
        if planned:
            memory.plan()
        state.agents.touch(agent, memory)


def blocked(state: JudgeState, memory: AgentMemory, tree: TreeMemory | None, call: Call) -> bool:
    """Tell whether the call belongs to something that is stopped."""
    if tree is not None and tree.blocked_until_s > call.now_s:
        return True
    if memory.blocked:
        for name in (call.agent, family(call.agent)):
            if memory.blocked.get(name, 0.0) > call.now_s:
                return True
    team = state.teams.get(call.team) if state.teams else None
    return team is not None and team.blocked_until_s > call.now_s
