"""PURE: an incident in words: what happened, what it costs, why, what was done, and until when."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from alerts.advice import advice
from alerts.decision import OBEDIENCE, Action
from alerts.figures import Clock, cost, is_measure, since, usd, utc
from alerts.incident import Incident, Status
from alerts.markup import clean, person

DONE = {
    Action.OBSERVE: "SEEN",
    Action.WARN: "WARNING",
    Action.THROTTLE: "THROTTLED",
    Action.DOWNGRADE: "DOWNGRADED",
    Action.HOLD: "HELD",
    Action.KILL: "KILLED",
    Action.RELEASE: "RELEASED",
}
MEASURE_OF = {"throttled": "Throttled", "downgraded": "Downgraded", "held": "Held for approval", "killed": "Killed"}
TEXT_MAX = 2_000
MEMBERS_SHOWN = 10


class View(Struct, frozen=True, kw_only=True):
    """What a sink is given to show: an incident, whom it speaks for, and where to read on."""

    incident: Incident
    members: tuple[Incident, ...] = ()
    runbook_url: str = ""
    dashboard_url: str = ""
    """`{incident}` in either stands for the incident's id."""


def subject(view: View) -> str:
    """Name what it is about: a scope, or how many."""
    incident, count = view.incident, len(view.members)
    if incident.kind == "digest":
        return f"{count} incidents at once"
    if incident.kind == "group":
        return f"{count} scopes of team {clean(incident.evidence.team)}"
    if incident.asked is not None:
        kind, _, name = (incident.asked.agent or incident.asked.team or "agent:unknown").partition(":")
        return f"{kind} {clean(name)} at gate {clean(incident.asked.gate)}"
    kind, _, name = incident.scope.partition(":")
    if kind == OBEDIENCE:
        return f"kill of {clean(name.replace(':', ' ', 1))}"
    return f"{kind} {clean(name)}"


def headline(view: View) -> str:
    """Say in a few words what happened; shadow mode says what would have.

    >>> headline(View(incident=Incident(id="1", scope="agent:a", action=Action.KILL, in_force="killed")))
    'KILLED: agent a'
    """
    incident = view.incident
    if incident.asked is not None:
        return f"{_approval_state(incident)}: {subject(view)}"
    if not incident.active and not incident.in_force:
        return f"{incident.status.upper()}: {subject(view)}"
    if incident.detector == OBEDIENCE:
        return f"NOT OBEYED: {subject(view)}"
    done = DONE[incident.action]
    if incident.shadow:
        done = "WARNING" if incident.action is Action.WARN else f"WOULD HAVE {done}"
    elif incident.kind == "single" and is_measure(incident) and not incident.in_force:
        done = f"NOT {done}"
    return f"{done}: {subject(view)}"


def _approval_state(incident: Incident) -> str:
    if incident.in_force:
        return "DENIED" if incident.in_force == "killed" else "APPROVAL NEEDED"
    return "APPROVED" if incident.approved else "NOT DECIDED" if incident.status is Status.RESOLVED else "TAKEN BACK"


def done(view: View, clock: Clock = utc, safe: Callable[[str], str] = clean) -> str:
    """Say what was done, who obeys, and until when; `safe` treats what came from outside."""
    incident = view.incident
    if incident.kind != "single":
        return _done_to_members(view.members)
    if incident.shadow:
        return "Shadow mode: nothing was stopped"
    if incident.detector == OBEDIENCE:
        return "The command stays in force. To stop the calls without the gateways, revoke the agent's key"
    if incident.asked is not None and incident.approved and not incident.in_force:
        return f"{incident.approved[0].upper()}{incident.approved[1:]}, until {clock(incident.approved_until_s)}"
    if not incident.in_force and incident.watched_until_s:
        return f"Free, on probation until {clock(incident.watched_until_s)}: a part of its limits, a shorter fuse"
    if not incident.in_force and incident.refused and incident.active:
        return f"Not {DONE[incident.action].lower()}: {safe(incident.refused)}"
    if not incident.in_force:
        return "Nothing is stopped now" if is_measure(incident) else "Nothing was stopped"
    words = f"{MEASURE_OF.get(incident.in_force, incident.in_force)} by command {incident.epoch}.{incident.seq}"
    if incident.actor != "detector":
        words += f" of {safe(person(incident.actor, mention=False))}"
    words += f"; {safe(incident.coverage)}" if incident.coverage else "; waiting for the gateways' word"
    return words + (f"; until {clock(incident.expires_s)}" if incident.expires_s is not None else "; until released")


def _done_to_members(members: Sequence[Incident]) -> str:
    states = [member.in_force for member in members if member.in_force]
    counted = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    words = ", ".join(counted) or "nothing is stopped"
    if any(member.shadow for member in members):
        words += f"; {sum(member.shadow for member in members)} in shadow mode"
    return words[0].upper() + words[1:]


def standing(view: View, *, mention: bool = False, clock: Clock = utc) -> str:
    """Say who has looked at it, and when; empty while nobody has."""
    incident = view.incident
    if incident.parent:
        return f"Part of incident {incident.parent}"
    if incident.status is Status.OPEN:
        return ""
    words = "Marked as planned" if incident.status is Status.PLANNED else incident.status.capitalize()
    if incident.status_by:
        words += f" by {person(incident.status_by, mention=mention)}"
    words += f" at {clock(incident.status_s)}"
    if incident.until_s and incident.active:
        words += f" until {clock(incident.until_s)}"
    return words


def said_of(view: View) -> str:
    """Say who has looked at it, when and why, in a line; empty while nobody has."""
    words, why = standing(view), view.incident.status_reason
    return f"now: {words}{f': {why}' if why else ''}" if words else ""


def facts(view: View, clock: Clock = utc) -> list[tuple[str, str]]:
    """Return the labelled details, in reading order, without the empty ones."""
    incident, evidence = view.incident, view.incident.evidence
    if incident.asked is not None:
        return _approval_facts(incident, clock)
    scored = incident.kind == "single" and incident.detector != OBEDIENCE
    named = f"{incident.detector} at {incident.score:.1f}" if scored else ""
    found = [
        ("Team", evidence.team),
        ("Agent", evidence.agent if incident.scope != f"agent:{evidence.agent}" else ""),
        ("Run", evidence.run if incident.scope != f"run:{evidence.run}" else ""),
        ("Model", evidence.model),
        ("Detector", named if incident.detector else ""),
        ("Began", clock(incident.began_s)),
        ("Calls", f"{evidence.calls:,}" if evidence.calls else ""),
    ]
    return [(label, value) for label, value in found if value]


def _approval_facts(incident: Incident, clock: Clock) -> list[tuple[str, str]]:
    evidence = incident.evidence
    found = [
        ("Team", evidence.team),
        ("Agent", evidence.agent),
        ("Run", evidence.run),
        ("Model", evidence.model),
        ("Tools", ", ".join(evidence.tools[:8])),
        ("May decide", ", ".join(evidence.approvers)),
        ("Approval", incident.scope.partition(":")[2]),
        ("Asked", clock(incident.began_s)),
    ]
    return [(label, value) for label, value in found if value]


def member_line(member: Incident) -> str:
    """Say one member of a group in a line."""
    state = member.status if not member.active else member.in_force or DONE[member.action].lower()
    if member.active and member.shadow:
        state = f"would have been {DONE[member.action].lower()}"
    return f"{member.scope} {state}, {usd(member.evidence.seen_usd_per_min)}/min: {member.reason}"


def fallback(view: View) -> str:
    """Say it all in one line, for a notification."""
    incident = view.incident
    why = f" ({incident.status_reason})" if incident.status_reason and not incident.active else ""
    told = (f"{headline(view)}{why}", incident.reason, cost(incident), since(incident), done(view))
    return clean(". ".join(filter(None, told)) + ".")[:TEXT_MAX]


def plain(view: View) -> str:
    """Write the incident for a log or a terminal, some lines of text without control characters."""
    incident, todo = view.incident, advice(view.incident, view.members)
    lines = [
        headline(view),
        f"cost: {cost(incident)}",
        since(incident),
        f"why: {incident.reason}",
        f"done: {done(view)}",
        f"do: {todo}" if todo else "",
        said_of(view),
        ", ".join(f"{label.lower()} {value}" for label, value in facts(view)),
        *(f"- {member_line(member)}" for member in view.members[:MEMBERS_SHOWN]),
        f"incident: {incident.id}",
    ]
    return "\n  ".join(clean(line)[:TEXT_MAX] for line in lines if line)
