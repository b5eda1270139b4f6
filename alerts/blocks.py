"""PURE: an incident as Slack blocks, within Slack's limits, with the buttons that fit its state."""

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from msgspec import Struct, json

from alerts.advice import advice
from alerts.decision import OBEDIENCE
from alerts.figures import cost, since, utc
from alerts.incident import Incident, Status
from alerts.markup import code, escape, prose
from alerts.message import (
    MEMBERS_SHOWN,
    View,
    done,
    facts,
    headline,
    member_line,
    standing,
)

HEADER_MAX = 150
SECTION_MAX = 3_000
FIELD_MAX = 2_000
FIELDS_MAX = 10
BUTTON_MAX = 75
PREFIX = "brakeline."

Block = dict[str, Any]


class Target(Struct, frozen=True, rename={"incident": "i", "epoch": "e", "seq": "s"}):
    """What a button acts on: the incident, and the command that was in force when it was drawn."""

    incident: str
    epoch: int
    seq: int


def target_of(incident: Incident, members: Sequence[Incident] = ()) -> Target:
    """Return what a click must still find; for a group it stands for every member's command."""
    if incident.kind == "single":
        return Target(incident.id, incident.epoch, incident.seq)
    state = sorted((member.id, member.epoch, member.seq, member.in_force) for member in members)
    return Target(incident.id, 0, crc32(json.encode(state)))


def local(at_s: float) -> str:
    """Write a time that Slack shows in the reader's own zone."""
    return f"<!date^{int(at_s)}^{{date_short_pretty}} {{time}}|{utc(at_s)}>"


def blocks(view: View) -> list[Block]:
    """Lay out the message: what, the cost and why, the details, what was done, who, and the buttons."""
    incident = view.incident
    laid = [
        {"type": "header", "text": {"type": "plain_text", "text": escape(headline(view), HEADER_MAX)}},
        _section("\n".join(filter(None, _told(incident)))),
        {"type": "section", "fields": [_field(label, value) for label, value in _facts(view)][:FIELDS_MAX]},
    ]
    if view.members:
        laid.append(_section(_members(view)))
    laid.append(_context(done(view, local, _safe), *_links(view), f"incident {code(incident.id)}"))
    todo = advice(incident, view.members, local, code)
    if todo:
        laid.append(_context(f"*Do:* {todo}"))
    who = standing(view, mention=True, clock=local)
    if who:
        why = f": {prose(incident.status_reason, 500)}" if incident.status_reason else ""
        laid.append(_context(who + why))
    buttons = list(_buttons(view))
    if buttons:
        laid.append({"type": "actions", "block_id": f"{PREFIX}{incident.id}"[:255], "elements": buttons})
    return laid


def _told(incident: Incident) -> Iterator[str]:
    yield f"*{cost(incident, local)}*"
    yield since(incident, local)
    yield prose(incident.reason, 1_500)


def _safe(text: str) -> str:
    return prose(text, 500)


def _facts(view: View) -> list[tuple[str, str]]:
    return [(label, value if label == "Began" else code(value)) for label, value in facts(view, local)]


def _field(label: str, value: str) -> Block:
    return {"type": "mrkdwn", "text": f"*{label}*\n{value}"[:FIELD_MAX]}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SECTION_MAX]}}


def _context(*texts: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text[:FIELD_MAX]} for text in texts]}


def _members(view: View) -> str:
    lines = [f"• {prose(member_line(member), 250)}" for member in view.members[:MEMBERS_SHOWN]]
    more = len(view.members) - len(lines)
    return "\n".join([*lines, f"and {more} more"] if more else lines)


def _links(view: View) -> Iterator[str]:
    for name, url in (("Runbook", view.runbook_url), ("Dashboard", view.dashboard_url)):
        if url:
            yield f"<{escape(url.replace('{incident}', view.incident.id).replace('|', '%7C'), 1_000)}|{name}>"


def _buttons(view: View) -> Iterator[Block]:
    incident = view.incident
    value = json.encode(target_of(incident, view.members)).decode()
    if incident.active and incident.status is not Status.ACKNOWLEDGED:
        yield _button("acknowledge", "Acknowledge", value)
    yield from _command_buttons(view, value)
    if incident.active:
        yield _button("snooze", "Snooze 1 h", value)
        if incident.kind == "single" and incident.detector != OBEDIENCE and incident.asked is None:
            yield _button("plan", "Mark planned", value)


def _command_buttons(view: View, value: str) -> Iterator[Block]:
    """Offer what can be done about the command in force."""
    incident = view.incident
    if incident.in_force == "held" and incident.asked is not None:
        yield _button("once", "Approve once", value, style="primary")
        if incident.asked.run:
            yield _button("run", "For the run", value)
        yield _button("span", "For an hour", value)
        yield _button("deny", "Deny", value, style="danger")
        return
    if incident.in_force == "held":
        yield _button("approve", "Approve", value, style="primary")
        yield _button("deny", "Deny", value, style="danger")
        return
    several = [member for member in view.members if member.in_force]
    if incident.in_force or several:
        label = "Release" if incident.kind == "single" else f"Release all {len(several)}"
        what = escape(headline(view).partition(": ")[2], 100)
        yield _button("release", label, value, style="danger", confirm=f"Let {what} call again? You are asked why.")
    if incident.in_force == "killed" and incident.expires_s is not None:
        yield _button("keep", "Keep killed", value)
        yield _button("extend", "Extend 1 h", value)


def _button(verb: str, label: str, value: str, *, style: str = "", confirm: str = "") -> Block:
    button: Block = {
        "type": "button",
        "action_id": PREFIX + verb,
        "text": {"type": "plain_text", "text": label[:BUTTON_MAX]},
        "value": value,
    }
    if style:
        button["style"] = style
    if confirm:
        button["confirm"] = {
            "title": {"type": "plain_text", "text": "Release"},
            "text": {"type": "plain_text", "text": confirm[:300]},
            "confirm": {"type": "plain_text", "text": "Release"},
            "deny": {"type": "plain_text", "text": "Leave it"},
            "style": "danger",
        }
    return button
