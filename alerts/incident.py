"""PURE: what an incident is, and the row that is kept for it."""

from enum import StrEnum
from typing import Literal

from msgspec import Struct, json

from alerts.aftermath import NOTHING, Aftermath
from alerts.decision import OBEDIENCE, Action, Evidence
from alerts.gateway.asking import Asked

LADDER = {action: rank for rank, action in enumerate(Action)}
STATE_OF = {
    Action.THROTTLE: "throttled",
    Action.DOWNGRADE: "downgraded",
    Action.HOLD: "held",
    Action.KILL: "killed",
}

CHAT = "chat"
"""The sink that people read first; a storm is what it has not been told yet."""

Kind = Literal["single", "group", "digest"]


class Status(StrEnum):
    """Who has to care: the first three are active, the others closed."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RELEASED = "released"
    PLANNED = "planned"
    RESOLVED = "resolved"


ACTIVE = frozenset({Status.OPEN, Status.ACKNOWLEDGED, Status.SNOOZED})


class Moment(Struct, frozen=True, omit_defaults=True):
    """One line of an incident's history."""

    at_s: float
    what: str
    who: str = ""


class Delivery(Struct, frozen=True, omit_defaults=True):
    """What one sink was told: `intent_s` is set while a first message may be under way."""

    revision: int = 0
    at_s: float = 0.0
    nudges: int = 0
    nudged_s: float = 0.0
    intent_s: float = 0.0
    channel: str = ""
    message: str = ""
    given_up: str = ""


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of a decision's command: its place in the total order, or why it was refused."""

    epoch: int = 0
    seq: int = 0
    expires_s: float | None = None
    refused: str = ""


NO_COMMAND = Outcome()


class Act(Struct, frozen=True, omit_defaults=True):
    """What a person did to an incident that needs no command."""

    verb: Literal["acknowledge", "snooze", "plan", "note"]
    incident_id: str
    actor: str
    reason: str = ""
    until_s: float = 0.0


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a person on call has to know; the row that is kept for it.

    `opened_s`, `heard_s` and `status_s` are this service's clock, `began_s` the stream's. `in_force` is what the
    gateways were told last: a closed incident may still have it, an acknowledged one usually has. `revision`
    counts what a reader can see; `urgent` is the last revision that should not wait. `offset` is the last
    decision applied and `said_s` the latest time that any gave, so that a replay changes nothing.
    """

    id: str
    scope: str
    kind: Kind = "single"
    status: Status = Status.OPEN
    action: Action = Action.WARN
    shadow: bool = False
    reason: str = ""
    detector: str = ""
    score: float = 0.0
    actor: str = "detector"
    evidence: Evidence = Evidence()
    began_s: float = 0.0
    opened_s: float = 0.0
    heard_s: float = 0.0
    status_s: float = 0.0
    status_by: str = ""
    status_reason: str = ""
    until_s: float = 0.0
    """End of a snooze, or of the time for which it is planned."""
    in_force: str = ""
    epoch: int = 0
    seq: int = 0
    expires_s: float | None = None
    coverage: str = ""
    after: Aftermath = NOTHING
    """What was seen since the last command."""
    refused: str = ""
    """Why the last decision about it became no command."""
    probation_s: float = 0.0
    """How long it will be on probation once it is free."""
    watched_until_s: float = 0.0
    """Until when it is on probation, with less room and a shorter fuse."""
    parent: str = ""
    also: tuple[str, ...] = ()
    offset: int = -1
    said_s: float = 0.0
    revision: int = 1
    urgent: int = 1
    nudges: int = 0
    timeline: tuple[Moment, ...] = ()
    deliveries: dict[str, Delivery] = {}
    asked: Asked | None = None
    """What waits for approval, where the incident is about that."""
    approved: str = ""
    """What a person has approved of it, in words."""
    approved_until_s: float = 0.0

    @property
    def active(self) -> bool:
        """Whether somebody still has to care."""
        return self.status in ACTIVE

    @property
    def critical(self) -> bool:
        """Whether calls are being refused, would be without a person, or should be and aren't.

        What waits at a gate, or was denied there, is as it was meant to be.
        """
        if self.asked is not None:
            return False
        return (LADDER[self.action] >= LADDER[Action.HOLD] or self.detector == OBEDIENCE) and not self.shadow


def severity(incident: Incident) -> str:
    """Return `info` (shadow), `warning` or `critical`.

    >>> severity(Incident(id="1", scope="agent:a", action=Action.KILL))
    'critical'
    """
    if incident.shadow:
        return "info"
    return "critical" if incident.critical else "warning"


def encode_row(incident: Incident) -> bytes:
    """Write the durable row; `decode_row` reads it back."""
    return json.encode(incident)


def decode_row(row: bytes) -> Incident:
    """Read a durable row; raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
    return json.decode(row, type=Incident)
