"""PURE: which incidents are one event: a team's, a storm's, or a part of what is already known."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from alerts.decision import OBEDIENCE, Action, Evidence, incident_id
from alerts.incident import LADDER, Incident, Moment, Status
from alerts.lifecycle import nudged, seen

SMALLER = {"team": ("agent", "run", "workflow"), "agent": ("run",)}


class Grouping(Struct, frozen=True, kw_only=True):
    """When incidents are told of together."""

    window_s: float = 120.0
    """Incidents of one team that open within this time are one event."""
    team_min: int = 3
    storm_min: int = 20
    """So many untold incidents at once become one digest."""
    storm_window_s: float = 30.0
    """A digest takes in more until this long nothing came."""
    digest_max_s: float = 900.0


def kind_of(scope: str) -> str:
    """Return the part before the first colon.

    >>> kind_of("agent:a:b")
    'agent'
    """
    return scope.partition(":")[0]


def covers(parent: Incident, child: Incident, window_s: float) -> bool:
    """Whether `parent` says already what `child` would: a team's kill silences its agents.

    The parent must be at least as strong, and a mere warning silences only what began with it.
    """
    if parent.kind != "single" or not parent.active or parent.id == child.id or child.detector == OBEDIENCE:
        return False
    if LADDER[parent.action] < LADDER[child.action] or (parent.shadow and not child.shadow):
        return False
    if LADDER[parent.action] < LADDER[Action.THROTTLE] and abs(parent.opened_s - child.opened_s) > window_s:
        return False
    kind, _, name = parent.scope.partition(":")
    if kind == "global":
        return kind_of(child.scope) != "global"
    if child.kind == "group":
        return parent.scope == child.scope
    named = child.evidence.team if kind == "team" else child.evidence.agent
    return kind_of(child.scope) in SMALLER.get(kind, ()) and named == name


def team_event(waiting: Iterable[Incident], rules: Grouping, now_s: float) -> list[list[Incident]]:
    """Return the incidents that are one event of their team, a list a team.

    Shadow and armed incidents are never mixed: a message says either "killed" or "would have killed".
    """
    teams: dict[tuple[str, bool], list[Incident]] = {}
    for incident in waiting:
        recent = now_s - incident.opened_s <= rules.window_s
        if recent and incident.evidence.team and kind_of(incident.scope) in SMALLER["team"]:
            teams.setdefault((incident.evidence.team, incident.shadow), []).append(incident)
    return [members for members in teams.values() if len(members) >= rules.team_min]


def is_storm(untold: Sequence[Incident], rules: Grouping) -> bool:
    """Whether there is too much to tell one by one; what is all of one team is that team's event instead."""
    teams = {incident.evidence.team for incident in untold}
    return len(untold) >= rules.storm_min and (len(teams) > 1 or teams == {""})


def gather(kind: str, members: Sequence[Incident], now_s: float) -> Incident:
    """Make the incident that stands for `members`: a team's event, or a storm's digest."""
    first = min(members, key=lambda member: (member.opened_s, member.id))
    digest = kind == "digest"
    scope = "global:storm" if digest else f"team:{first.evidence.team}"
    gathered = Incident(
        id=incident_id(scope, f"{kind}:{first.id}", first.opened_s),
        scope=scope,
        kind="digest" if digest else "group",
        detector=kind,
        evidence=Evidence(team="" if digest else first.evidence.team),
        began_s=min(member.began_s for member in members),
        opened_s=first.opened_s,
        heard_s=now_s,
        status_s=now_s,
        shadow=all(member.shadow for member in members),
        timeline=(Moment(now_s, f"{len(members)} incidents at once"),),
    )
    return summed(gathered, members, now_s, joined=False)


def adopted(child: Incident, parent: str, now_s: float) -> Incident:
    """Hand `child` to `parent`, or set it free with an empty one."""
    return seen(replace(child, parent=parent), now_s, "")


def summed(parent: Incident, members: Sequence[Incident], now_s: float, *, joined: bool) -> Incident:
    """Let a group say what its members say; a critical one that joins late is worth telling again."""
    active = [member for member in members if member.active] or list(members)
    worst = max(active, key=lambda member: (LADDER[member.action], member.evidence.seen_usd_per_min, member.id))
    evidence = replace(
        parent.evidence,
        seen_usd_per_min=sum(member.evidence.seen_usd_per_min for member in active),
        usual_usd_per_min=sum(member.evidence.usual_usd_per_min for member in active),
        spend_usd=sum(member.evidence.spend_usd for member in members),
        since_s=min(member.evidence.since_s or member.began_s for member in members),
        calls=sum(member.evidence.calls for member in members),
    )
    what = f"of team {parent.evidence.team} " if parent.kind == "group" else ""
    changed = replace(
        parent,
        action=max((member.action for member in members), key=LADDER.__getitem__),
        shadow=all(member.shadow for member in members),
        score=max(member.score for member in members),
        reason=f"{len(members)} scopes {what}at once; {worst.scope}: {worst.reason}",
        evidence=evidence,
        heard_s=now_s if joined else parent.heard_s,
    )
    changed = seen(changed, now_s, "", urgent=joined)
    return nudged(changed) if joined and changed.critical else changed


def ranked(members: Iterable[Incident]) -> list[Incident]:
    """Put the gravest first."""
    return sorted(members, key=lambda m: (not m.active, -LADDER[m.action], -m.evidence.seen_usd_per_min, m.id))


def is_free(incident: Incident) -> bool:
    """Whether nobody speaks for it yet and nobody has looked at it; what waits at a gate needs its own answer."""
    return (
        incident.asked is None and incident.kind == "single" and not incident.parent and incident.status is Status.OPEN
    )
