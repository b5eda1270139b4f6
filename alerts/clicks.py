"""PURE: what a click in Slack or on the page asks for, who may ask it, and whether it still fits what is true."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, json

from alerts.approving import may_approve
from alerts.blocks import PREFIX, Target, target_of
from alerts.decision import Action, Decision, incident_id
from alerts.gateway.asking import Use
from alerts.incident import Act, Incident, Status

Role = Literal["viewer", "operator", "admin"]
Verb = Literal["acknowledge", "snooze", "plan", "release", "approve", "once", "run", "span", "deny", "keep", "extend"]

RANKS: Mapping[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}
VERBS: Sequence[Verb] = (
    "acknowledge",
    "snooze",
    "plan",
    "release",
    "approve",
    "once",
    "run",
    "span",
    "deny",
    "keep",
    "extend",
)
USES: Mapping[str, Use] = {"once": "once", "run": "run", "span": "span"}
"""Buttons that approve a request, and what for."""
FREES: frozenset[Verb] = frozenset({"release", "approve", "plan", "once", "run", "span"})
NEEDS_REASON: frozenset[Verb] = FREES
SIGNATURE_LIFE_S = 300.0
HOUR_S = 3_600.0
ACTS: Mapping[str, tuple[Literal["acknowledge", "snooze", "plan"], float]] = {
    "acknowledge": ("acknowledge", 0.0),
    "snooze": ("snooze", HOUR_S),
    "plan": ("plan", HOUR_S),
}
REASON_MIN, REASON_MAX = 3, 500
LABELS: Mapping[Verb, str] = {
    "plan": "Mark as planned", "once": "Approve once", "run": "Approve for the run", "span": "Approve for an hour",
}  # fmt: skip
CALLBACK = f"{PREFIX}reason"
REASON_BLOCK = "reason"


class Click(Struct, frozen=True, kw_only=True):
    """One press of a button, or the reason that was asked for after it (then `trigger_id` is empty).

    `via` is where it was pressed, "slack" or "page".
    """

    verb: Verb
    target: Target
    user: str
    reason: str = ""
    trigger_id: str = ""
    channel: str = ""
    via: str = "slack"

    @property
    def actor(self) -> str:
        """Who did it, as decisions and the audit say it."""
        return f"{self.via}:{self.user}"


class Asked(Struct, frozen=True):
    """What a dialog remembers of the button that opened it."""

    verb: Verb
    target: Target
    channel: str


class Orders(Struct, frozen=True):
    """What a valid click leads to."""

    decisions: tuple[Decision, ...] = ()
    act: Act | None = None


def is_signed(secret: str, timestamp: str, body: bytes, signature: str, now_s: float) -> bool:
    """Whether Slack signed `body` with our secret in the last five minutes."""
    if not (secret and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return False
    if abs(now_s - int(timestamp)) > SIGNATURE_LIFE_S:
        return False
    wanted = "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))


def read(payload: Mapping[str, Any]) -> Click | None:
    """Read an interaction; `None` for what is not ours or can't be read."""
    try:
        if payload["type"] == "block_actions":
            return _pressed(payload)
        if payload["type"] == "view_submission" and payload["view"]["callback_id"] == CALLBACK:
            return _submitted(payload)
    except (KeyError, IndexError, TypeError, AttributeError, msgspec.DecodeError):
        return None
    return None


def _pressed(payload: Mapping[str, Any]) -> Click | None:
    action = payload["actions"][0]
    verb = next((verb for verb in VERBS if action["action_id"] == PREFIX + verb), None)
    if verb is None:
        return None
    return Click(
        verb=verb,
        target=json.decode(action["value"], type=Target),
        user=str(payload["user"]["id"]),
        trigger_id=str(payload.get("trigger_id", "")),
        channel=str((payload.get("channel") or {}).get("id", "")),
    )


def _submitted(payload: Mapping[str, Any]) -> Click:
    view = payload["view"]
    asked = json.decode(view["private_metadata"], type=Asked)
    reason = view["state"]["values"][REASON_BLOCK][REASON_BLOCK]["value"]
    return Click(
        verb=asked.verb,
        target=asked.target,
        user=str(payload["user"]["id"]),
        reason=" ".join(str(reason or "").split())[:REASON_MAX],
        channel=asked.channel,
    )


def refusal(click: Click, role: Role | None, incident: Incident | None, members: Sequence[Incident]) -> str:
    """Return in words why a click may not act, or an empty string."""
    if role is None or RANKS[role] < RANKS["operator"]:
        return "You may not act on incidents: ask for the role of an operator."
    if incident is None:
        return "This incident is over and forgotten."
    if incident.scope.startswith("global:") and incident.kind == "single" and RANKS[role] < RANKS["admin"]:
        return "Only an admin may act on everything at once."
    if incident.asked is not None and not may_approve(click.actor, incident.evidence.approvers):
        return f"Gate {incident.asked.gate} names who may decide: {', '.join(incident.evidence.approvers)}."
    if target_of(incident, members) != click.target:
        return "It has changed since this button was drawn. Look at it as it is now, then press again."
    if not fits(click.verb, incident, members):
        who = f" by {incident.status_by}" if incident.status_by else ""
        return f"Nothing to do: the incident is {incident.status}{who}."
    return ""


def fits(verb: Verb, incident: Incident, members: Sequence[Incident]) -> bool:
    """Tell whether there is anything for that button to do."""
    match verb:
        case "acknowledge":
            return incident.status in {Status.OPEN, Status.SNOOZED}
        case "snooze":
            return incident.active
        case "plan":
            return incident.active and incident.kind == "single" and incident.asked is None
        case "release":
            return bool(incident.in_force) or any(member.in_force for member in members)
        case "once" | "run" | "span" if incident.asked is None or (verb == "run" and not incident.asked.run):
            return False
        case "approve" if incident.asked is not None:
            return False
        case "approve" | "deny" | "once" | "run" | "span":
            return incident.in_force == "held"
        case "keep" | "extend":
            return incident.in_force == "killed"


def orders(click: Click, incident: Incident, members: Sequence[Incident], now_s: float) -> Orders:
    """Return what a click leads to; it was found to be allowed, and has its reason."""
    affected = [one for one in (incident, *members) if one.in_force and one.kind == "single"]
    decisions: tuple[Decision, ...] = ()
    if click.verb in FREES:
        decisions = tuple(_release(click, one, now_s) for one in affected)
    elif click.verb in {"deny", "keep", "extend"}:
        decisions = (_kill(click, incident, now_s),)
    if click.verb not in ACTS:
        return Orders(decisions)
    verb, span_s = ACTS[click.verb]
    return Orders(decisions, Act(verb, incident.id, click.actor, click.reason, now_s + span_s if span_s else 0.0))


def _release(click: Click, incident: Incident, now_s: float) -> Decision:
    return Decision(
        at_s=now_s,
        scope=incident.scope,
        action=Action.RELEASE,
        reason=f"planned: {click.reason}" if click.verb == "plan" else click.reason,
        incident_id=incident.id,
        actor=click.actor,
        releases_seq=incident.seq,
        planned=click.verb == "plan",
        use=USES.get(click.verb),
        evidence=incident.evidence,
    )


def _kill(click: Click, incident: Incident, now_s: float) -> Decision:
    """Kill on a person's word. The command is a new one, so it goes by a name of its own."""
    until_s = max(incident.expires_s or now_s, now_s) + HOUR_S if click.verb == "extend" else None
    words = {"deny": "denied", "keep": "kept killed", "extend": "kept killed for another hour"}
    return Decision(
        at_s=now_s,
        scope=incident.scope,
        action=Action.KILL,
        reason=f"{words[click.verb]} by a person; {incident.reason}",
        incident_id=incident_id(incident.scope, f"{click.verb}:{click.actor}", now_s),
        detector=incident.detector,
        score=incident.score,
        actor=click.actor,
        window_start_s=incident.began_s,
        expires_s=until_s,
        evidence=incident.evidence,
    )


def reason_modal(click: Click, subject: str) -> dict[str, Any]:
    """Return the dialog that asks why."""
    label = LABELS.get(click.verb, "Release")
    asked = json.encode(Asked(click.verb, click.target, click.channel)).decode()
    field = {
        "type": "plain_text_input",
        "action_id": REASON_BLOCK,
        "multiline": True,
        "min_length": REASON_MIN,
        "max_length": REASON_MAX,
    }
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": asked,
        "title": {"type": "plain_text", "text": label},
        "submit": {"type": "plain_text", "text": label},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": subject[:300]}},
            {
                "type": "input",
                "block_id": REASON_BLOCK,
                "label": {"type": "plain_text", "text": "Why? It is written to the audit log."},
                "element": field,
            },
        ],
    }
