"""PURE: what whoever is paged can do about an incident, in a sentence."""

from collections.abc import Callable, Sequence

from alerts.decision import OBEDIENCE
from alerts.figures import Clock, utc
from alerts.incident import Incident
from alerts.markup import clean

Name = Callable[[str], str]


def advice(incident: Incident, members: Sequence[Incident] = (), clock: Clock = utc, name: Name = clean) -> str:
    """Say what to do; empty where nothing is left to do. `name` treats what came from outside."""
    if incident.kind != "single":
        stopped = any(member.in_force for member in members)
        return "Look at the gravest first. Release all only if all have one harmless cause" if stopped else ""
    if incident.detector == OBEDIENCE:
        mend = "Revoke the agent's key where it is issued, then mend the gateway that let the calls through"
        return mend if incident.active else ""
    if incident.asked is not None:
        return "Approve it, or deny it; until then such calls are refused" if incident.in_force == "held" else ""
    if incident.in_force:
        return _of_a_command(incident, clock)
    return _of_a_warning(incident, name) if incident.active else ""


def _of_a_command(incident: Incident, clock: Clock) -> str:
    if incident.in_force == "held":
        return "Its calls are refused until you decide: Approve lets it go on, Deny kills it"
    if incident.in_force != "killed":
        return "It goes on with less. Release gives back what it had"
    ends = f". By itself it is free at {clock(incident.expires_s)}; Keep killed holds it" if incident.expires_s else ""
    return f"Find out why, mend it, then Release. If it was meant: Mark planned{ends}"


def _of_a_warning(incident: Incident, name: Name) -> str:
    by_hand = name(f"brakeline kill {incident.scope} --reason WHY")
    if incident.shadow:
        return f"Nothing stops it in shadow mode. To stop it: {by_hand}. If it was meant: Mark planned"
    return f"It goes on. To stop it: {by_hand}. If it was meant: Mark planned"
