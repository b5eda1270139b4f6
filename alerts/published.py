"""PURE: an incident as JSON for other programs: `brakeline.alerts` and webhooks."""

from msgspec import Struct, json

from alerts.incident import Incident, severity
from alerts.message import View, headline, plain

MEMBERS_MAX = 100


class Alert(Struct, frozen=True, kw_only=True):
    """What other programs may rely on. A higher `revision` of an `id` replaces a lower one."""

    v: int = 1
    id: str
    revision: int
    kind: str
    status: str
    severity: str
    scope: str
    action: str
    shadow: bool
    headline: str
    text: str
    reason: str
    detector: str
    score: float
    actor: str
    team: str
    agent: str
    run: str
    model: str
    seen_usd_per_min: float
    usual_usd_per_min: float
    spend_usd: float
    calls: int
    began_s: float
    opened_s: float
    at_s: float
    in_force: str
    epoch: int
    seq: int
    expires_s: float | None
    coverage: str
    status_by: str
    status_reason: str
    parent: str
    member_count: int
    members: list[str]
    """Ids of the gravest hundred."""


def alert(view: View) -> Alert:
    """Say the incident for other programs."""
    incident, evidence = view.incident, view.incident.evidence
    own = {name: getattr(incident, name) for name in Alert.__struct_fields__ if name in Incident.__struct_fields__}
    told = {name: getattr(evidence, name) for name in Alert.__struct_fields__ if name in evidence.__struct_fields__}
    return Alert(
        **own,
        **told,
        severity=severity(incident),
        headline=headline(view),
        text=plain(view),
        at_s=max(incident.heard_s, incident.status_s),
        member_count=len(view.members),
        members=[member.id for member in view.members[:MEMBERS_MAX]],
    )


def encode_alert(view: View) -> bytes:
    """Write the incident as one JSON document."""
    return json.encode(alert(view))
