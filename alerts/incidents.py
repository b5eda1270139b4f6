"""PURE: all incidents, and which one a decision belongs to.

A `Book` is told what happened and the time; every method answers with the ids of the incidents whose rows
changed, so that its owner can keep them. An id that is answered and no longer in `book.incidents` is retired.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from alerts.aftermath import Aftermath
from alerts.decision import Action, Decision, incident_id
from alerts.grouping import Grouping, ranked
from alerts.incident import NO_COMMAND, Act, Incident, Outcome
from alerts.lifecycle import acted, covered, heard, opened, went_on


class Rules(Struct, frozen=True, kw_only=True):
    """How long incidents live, and how many are kept."""

    resolve_after_s: float = 900.0
    retire_after_s: float = 86_400.0
    incidents_max: int = 5_000
    grouping: Grouping = Grouping()


USUAL_RULES = Rules()


class Book:
    """The incidents of one commander."""

    def __init__(self, rules: Rules = USUAL_RULES, incidents: Iterable[Incident] = ()) -> None:
        self.rules = rules
        self.incidents: dict[str, Incident] = {}
        self._ids: dict[str, str] = {}
        self._latest: dict[tuple[str, str], str] = {}
        self._members: dict[str, set[str]] = {}
        self.outdated: set[str] = set()
        for incident in sorted(incidents, key=lambda incident: (incident.active, incident.opened_s)):
            self.keep(incident)

    def find(self, name: str) -> Incident | None:
        """Return the incident of that id, or of that other id it has gone by."""
        return self.incidents.get(self._ids.get(name, name))

    def latest(self, kind: str, scope: str) -> Incident | None:
        """Return the incident of that kind that opened last for `scope`."""
        return self.incidents.get(self._latest.get((kind, scope), ""))

    def current(self, scope: str) -> Incident | None:
        """Return the incident that a decision about `scope` belongs to, if one is active or in force."""
        incident = self.latest("single", scope)
        return incident if incident and (incident.active or incident.in_force) else None

    def members(self, parent: str) -> list[Incident]:
        """Return the incidents that `parent` speaks for, the gravest first."""
        return ranked(self.incidents[member] for member in self._members.get(parent, ()))

    def decided(self, decision: Decision, now_s: float, outcome: Outcome = NO_COMMAND, *, offset: int = -1) -> set[str]:
        """Fold in a decision and what became of its command.

        `offset` is the decision's own in its topic: one that was applied before changes nothing. A release
        of what no incident knows, and an observation, change nothing either.
        """
        if decision.action is Action.OBSERVE:
            return set()
        decision = self._own(decision)
        known = self.find(decision.incident_id)
        if known is None or not known.active:
            known = self.current(decision.scope) or known
        if known is not None:
            return self.change([heard(known, decision, outcome, offset, now_s)])
        if decision.action is Action.RELEASE:
            return set()
        return self.change([opened(decision, outcome, offset, now_s)])

    def observed(self, decision: Decision, outcome: Outcome, now_s: float) -> set[str]:
        """Fold in a command that was seen on the kill topic, whoever wrote it; one known already changes nothing."""
        decision = self._own(decision)
        known = self.find(decision.incident_id) or self.latest("single", decision.scope)
        if known is not None and (outcome.epoch, outcome.seq) <= (known.epoch, known.seq):
            return set()
        return self.decided(decision, now_s, outcome)

    def _own(self, decision: Decision) -> Decision:
        """Rename what goes by the id of another scope's incident: no decision may touch a stranger."""
        known = self.find(decision.incident_id)
        if known is None or known.scope == decision.scope:
            return decision
        return replace(decision, incident_id=incident_id(decision.scope, decision.incident_id, 0.0))

    def covered(self, scope: str, place: tuple[int, int], text: str, now_s: float) -> set[str]:
        """Note in words which gateways obey the command at `place` (epoch, seq); an older one is ignored."""
        incident = self._commanded(scope, place)
        return set() if incident is None else self.change([covered(incident, text, now_s)])

    def went_on(self, scope: str, place: tuple[int, int], after: Aftermath, now_s: float) -> set[str]:
        """Note what was seen since the command at `place` (epoch, seq); an older one is ignored."""
        incident = self._commanded(scope, place)
        return set() if incident is None else self.change([went_on(incident, after, now_s)])

    def _commanded(self, scope: str, place: tuple[int, int]) -> Incident | None:
        incident = self.current(scope)
        return incident if incident is not None and (incident.epoch, incident.seq) == place else None

    def acted(self, act: Act, now_s: float) -> set[str]:
        """Apply what a person did; who acts on a group acts on its members."""
        incident = self.find(act.incident_id)
        if incident is None:
            return set()
        changed = self.change([acted(incident, act, now_s)])
        if incident.kind == "single" or not changed or act.verb == "note":
            return changed
        return changed | self.change([acted(member, act, now_s) for member in self.members(incident.id)])

    def change(self, incidents: Iterable[Incident]) -> set[str]:
        """Keep those that differ; the groups that speak for them say so at the next tick."""
        changed = {one.id for one in incidents if self.update(one)}
        self.outdated |= {self.incidents[name].parent for name in changed}
        return changed

    def update(self, incident: Incident) -> set[str]:
        """Keep a change that no reader of a group sees, such as what a sink was told."""
        before = self.incidents.get(incident.id)
        if before is incident or before == incident:
            return set()
        self.keep(incident)
        return {incident.id}

    def keep(self, incident: Incident) -> None:
        """Keep `incident` and its place in the indexes."""
        before = self.incidents.get(incident.id)
        if before is not None and before.parent != incident.parent:
            self._members.get(before.parent, set()).discard(incident.id)
        self.incidents[incident.id] = incident
        if incident.parent:
            self._members.setdefault(incident.parent, set()).add(incident.id)
        for also in incident.also:
            self._ids[also] = incident.id
        if before is None or (incident.active and not before.active):
            self._latest[(incident.kind, incident.scope)] = incident.id

    def forget(self, gone: str) -> None:
        """Drop an incident and its place in the indexes."""
        incident = self.incidents.pop(gone)
        self._members.pop(gone, None)
        self._members.get(incident.parent, set()).discard(gone)
        for also in incident.also:
            self._ids.pop(also, None)
        if self._latest.get((incident.kind, incident.scope)) == gone:
            del self._latest[(incident.kind, incident.scope)]
