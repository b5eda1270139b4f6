"""PURE: an incident's figures in words: what it costs, or cost, and what was seen after it was stopped."""

from collections.abc import Callable
from datetime import UTC, datetime

from alerts.decision import Action
from alerts.incident import LADDER, Incident

STOPPED = ("killed", "held")

Clock = Callable[[float], str]


def utc(at_s: float) -> str:
    """Write a time for people who may be anywhere.

    >>> utc(0.0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def usd(amount_usd: float) -> str:
    """Write dollars.

    >>> usd(1234.5), usd(0.002), usd(0.0)
    ('$1,234.50', 'under $0.01', '$0.00')
    """
    return "under $0.01" if 0 < amount_usd < 0.01 else f"${amount_usd:,.2f}"


def is_measure(incident: Incident) -> bool:
    """Whether it asks for more than a warning."""
    return LADDER[incident.action] >= LADDER[Action.THROTTLE]


def cost(incident: Incident, clock: Clock = utc) -> str:
    """Say what it costs, or cost when it was stopped, against what is usual."""
    evidence = incident.evidence
    if incident.asked is not None:
        return f"about {usd(evidence.estimate_usd)} at most for this call"
    now, usual = evidence.seen_usd_per_min, evidence.usual_usd_per_min
    if not (now or usual or evidence.spend_usd):
        return "Nothing known of what it spends"
    known = f"usually {usd(usual)}/min" if usual > 0 else "nothing known of its usual"
    words = f"{usd(now)}/min {_when(incident)}, {known}"
    if usual > 0 and now / usual >= 1.5:
        words += f" ({now / usual:,.0f} times)" if now / usual >= 10 else f" ({now / usual:.1f} times)"
    if evidence.spend_usd:
        words += f"; {usd(evidence.spend_usd)} since {clock(evidence.since_s or incident.began_s)}"
    return words


def _when(incident: Incident) -> str:
    if incident.kind != "single":
        return "together"
    if incident.in_force in STOPPED:
        return f"when it was {incident.in_force}"
    if incident.active:
        return "now"
    return "when it was stopped" if incident.seq and is_measure(incident) else "when last seen"


def since(incident: Incident, clock: Clock = utc) -> str:
    """Say what was seen after it was stopped; empty where nothing was, or it isn't known yet."""
    after = incident.after
    if incident.kind != "single" or incident.shadow or incident.asked is not None or not incident.seq:
        return ""
    parts = []
    if after.calls:
        parts.append(f"{_calls(after.calls)} got through ({usd(after.spend_usd)}), the last at {clock(after.last_s)}")
    if after.refused:
        parts.append(f"{_calls(after.refused)} refused, the last at {clock(after.refused_s)}")
    if not parts and incident.in_force in STOPPED and incident.coverage:
        parts.append("no call seen")
    when = "Since then" if incident.in_force else "While it was stopped"
    return f"{when}: {'; '.join(parts)}" if parts else ""


def _calls(number: int) -> str:
    return f"{number:,} {'call' if number == 1 else 'calls'}"
