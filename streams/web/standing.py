"""Where each scope stands: stopped, would have been, being watched, or well."""

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

from alerts.decision import Action
from alerts.gateway.wire import Command, State
from alerts.incident import LADDER, Incident
from streams.web.agents import Agent, Agents
from streams.web.board import Board


class Level(IntEnum):
    """From well to worst; what a table is filtered by."""

    OK = 0
    WATCH = 1
    WOULD = 2
    DOWNGRADED = 3
    THROTTLED = 4
    HELD = 5
    KILLED = 6


LABELS: Mapping[Level, str] = {
    Level.OK: "ok",
    Level.WATCH: "watch",
    Level.WOULD: "would kill",
    Level.DOWNGRADED: "downgraded",
    Level.THROTTLED: "throttled",
    Level.HELD: "held",
    Level.KILLED: "killed",
}
_OF_STATE = {
    State.DOWNGRADED: Level.DOWNGRADED,
    State.THROTTLED: Level.THROTTLED,
    State.HELD: Level.HELD,
    State.KILLED: Level.KILLED,
}


class Stand(Struct, frozen=True):
    """The level, why, and the incident to read on."""

    level: Level = Level.OK
    scope: str = ""
    incident: str = ""
    reason: str = ""
    detector: str = ""
    was_usd_per_min: float = 0.0
    """What it spent when it was stopped."""

    @property
    def label(self) -> str:
        """The level as it is written."""
        return LABELS[self.level]


WELL = Stand()


class Stands:
    """The stands of all scopes at one moment."""

    def __init__(self, board: Board, now_s: float) -> None:
        self._agents: Agents = board.agents
        self._by_scope: dict[str, Stand] = {}
        self._by_agent: dict[str, Stand] = {}
        self.agent_of: dict[str, str] = {}
        """By run, of those that are in an incident or stopped."""
        for incident in board.book.incidents.values():
            if incident.active and incident.kind == "single":
                self._note(_watched(incident), incident.evidence.agent)
        for command in board.orders.active(now_s):
            found = board.book.find(command.incident_id) or board.book.current(command.scope)
            self._note(_ordered(command, found.id if found else ""), str(command.evidence.get("agent", "")))
        self._all = self._by_scope.get("global:all", WELL)
        teams = {scope: stand for scope, stand in self._by_scope.items() if scope.startswith("team:")}
        self._teams = {scope.partition(":")[2]: stand for scope, stand in teams.items()}
        if self._all is not WELL:
            self._teams.setdefault("", self._all)

    def _note(self, stand: Stand, agent: str) -> None:
        _raise(self._by_scope, stand.scope, stand)
        kind, _, name = stand.scope.partition(":")
        if kind == "run":
            self.agent_of[name] = agent or self.agent_of.get(name, "")
        if kind == "agent" or (kind in {"run", "workflow"} and agent):
            _raise(self._by_agent, name if kind == "agent" else agent, stand)

    def of(self, agent: Agent) -> Stand:
        """Return the worst of an agent, its runs, its team and everything."""
        worst = self._by_agent.get(agent.name, self._all)
        if self._teams:
            worst = max(worst, self._teams.get(agent.payer.team, WELL), self._all, key=lambda stand: stand.level)
        if worst.level is Level.OK and (scored := self._agents.score(agent.name)) is not None:
            return Stand(Level.WATCH, scored.scope, "", scored.reason, scored.detector)
        return worst

    def stopped_agents(self) -> list[str]:
        """Return the agents that are stopped, or a run of theirs, by name."""
        return [name for name, stand in self._by_agent.items() if stand.level >= Level.DOWNGRADED]

    def of_scope(self, scope: str) -> Stand:
        """Return where a scope itself stands."""
        return self._by_scope.get(scope, WELL)

    def of_run(self, name: str) -> Stand:
        """Return where a run itself stands, or what the judge thinks of it."""
        stand, scored = self.of_scope(f"run:{name}"), self._agents.scores.get(f"run:{name}")
        if stand is WELL and scored is not None:
            return Stand(Level.WATCH, scored.scope, "", scored.reason, scored.detector)
        return stand


def _raise(stands: dict[str, Stand], name: str, stand: Stand) -> None:
    if stand.level > stands.get(name, WELL).level:
        stands[name] = stand


def _watched(incident: Incident) -> Stand:
    would = incident.shadow and LADDER[incident.action] >= LADDER[Action.THROTTLE]
    level = Level.WOULD if would else Level.WATCH
    return Stand(level, incident.scope, incident.id, incident.reason, incident.detector)


def _ordered(command: Command, incident: str) -> Stand:
    detector = str(command.evidence.get("detector", ""))
    was = float(command.evidence.get("seen_usd_per_min", 0.0))
    return Stand(_OF_STATE[command.state], command.scope, incident, command.reason, detector, was)
