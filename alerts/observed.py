"""PURE: a command that was seen on the kill topic, in the words of a decision."""

from msgspec import UNSET, convert

from alerts.decision import Action, Decision, Evidence
from alerts.gateway.wire import Command, State
from alerts.incident import Outcome

ACTION_OF = {
    State.KILLED: Action.KILL,
    State.HELD: Action.HOLD,
    State.THROTTLED: Action.THROTTLE,
    State.DOWNGRADED: Action.DOWNGRADE,
    State.RELEASED: Action.RELEASE,
}


def as_decision(command: Command) -> tuple[Decision, Outcome]:
    """Return the decision that a command carries out, and its place in the order of commands."""
    expires_s = None if command.expires_at is UNSET else command.expires_at
    known = set(Evidence.__struct_fields__)
    evidence = {name: value for name, value in command.evidence.items() if name in known}
    decision = Decision(
        at_s=command.issued_at,
        scope=command.scope,
        action=ACTION_OF[command.state],
        reason=command.reason,
        incident_id=command.incident_id,
        detector=str(command.evidence.get("detector", "")),
        actor=command.actor,
        expires_s=expires_s,
        probation_s=float(command.evidence.get("probation_s", 0.0)),
        planned=bool(command.evidence.get("planned")),
        asked=None if command.asked is UNSET else command.asked,
        use=None if command.use is UNSET else command.use,
        evidence=convert(evidence, Evidence, strict=False),
    )
    return decision, Outcome(command.epoch, command.seq, expires_s)
