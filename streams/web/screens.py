"""What each screen shows, as values for its template."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from alerts.advice import advice
from alerts.blocks import target_of
from alerts.clicks import NEEDS_REASON, REASON_MAX, REASON_MIN, VERBS, Verb, fits
from alerts.decision import Action
from alerts.figures import cost, since
from alerts.incident import LADDER, Incident, severity
from alerts.message import View, done, headline, standing
from streams.pulse import Scored
from streams.reload import Reading
from streams.settings import Settings
from streams.web.access import Person
from streams.web.accounts import DIMENSIONS, HOURS, Dimension, Span
from streams.web.board import Board
from streams.web.settings_shown import Shown, shown
from streams.web.standing import LABELS, Level
from streams.web.table import PAGE, STATES, Show, Wanted
from streams.web.tables import Tables
from streams.web.words import clock

LATE_S = 20.0
"""A commander that has been silent for so long is said to be."""
LISTED_MAX = 200

BUTTONS: Mapping[Verb, tuple[str, str]] = {
    "approve": ("Approve", "primary"),
    "once": ("Approve once", "primary"),
    "run": ("For the run", ""),
    "span": ("For an hour", ""),
    "deny": ("Deny", "danger"),
    "release": ("Release", "primary"),
    "plan": ("Mark planned", ""),
    "acknowledge": ("Acknowledge", ""),
    "snooze": ("Snooze 1 h", ""),
    "keep": ("Keep killed", ""),
    "extend": ("Extend 1 h", ""),
}


NOUNS: Mapping[Show, tuple[str, str]] = {
    "all": ("agent or run", "agents and runs"),
    "agents": ("agent", "agents"),
    "runs": ("run", "runs"),
    "teams": ("team", "teams"),
}


class Ask(Struct, frozen=True):
    """A request for a screen: who, when, and the address's variables."""

    person: Person
    token: str
    now_s: float
    query: Mapping[str, str]
    name: str = ""


class Missing(Exception):
    """There is no such thing; the message says what and why."""


class Facts(Struct, frozen=True):
    """What the page is told by its worker: the settings in force, how they were read last, what holds it back."""

    settings: Callable[[], Settings]
    reading: Callable[[], Reading]
    troubles: Callable[[], Sequence[str]]


class Screens:
    """Answers with the context of each screen's template."""

    def __init__(self, board: Board, facts: Facts) -> None:
        self._board = board
        self._facts = facts
        self._tables = Tables(board)

    def frame(self, ask: Ask) -> dict[str, Any]:
        """Return what stands above every screen."""
        board = self._board
        crowd = self._tables.crowd(ask.now_s)
        gateways = board.obedience.gateways(ask.now_s)
        active = [i for i in board.book.incidents.values() if i.active and not i.parent]
        return {
            "ask": ask,
            "person": ask.person,
            "now_s": ask.now_s,
            "token": ask.token,
            "mode": self._facts.settings().mode,
            "env": board.env,
            "burn": crowd.usd_per_min,
            "usual": crowd.usual_usd_per_min,
            "fleet": crowd.spark,
            "active": len(board.agents.known),
            "counts": crowd.counts,
            "stopped": sum(n for level, n in crowd.counts.items() if level >= Level.DOWNGRADED),
            "Level": Level,
            "open_incidents": len(active),
            "open_critical": sum(severity(i) == "critical" for i in active),
            "unseen": sum(i.status == "open" for i in active),
            "gateways_fresh": sum(g.is_fresh for g in gateways),
            "gateways_all": len(gateways),
            "warnings": self._warnings(ask.now_s),
        }

    def _warnings(self, now_s: float) -> list[str]:
        read = self._board.read
        found = list(self._facts.troubles())
        found += [f"The settings file is refused, the last good one is in force: {p}" for p in self._problems()]
        if not read.complete:
            found.append("The page is still reading its topics: what it shows isn't complete yet.")
        elif now_s - read.beat_s > LATE_S:
            since = f" since {clock(read.beat_s)} UTC" if read.beat_s else ""
            found.append(f"No worker commands{since}: kills and releases wait. Gateways enforce what they last knew.")
        return found

    def _problems(self) -> Sequence[str]:
        return self._facts.reading().problems[:3]

    def agents(self, ask: Ask) -> dict[str, Any]:
        """Return a page of the table of agents."""
        wanted = Wanted.of(ask.query)
        found = self._tables.sheet(wanted, ask.now_s)
        return {
            "sheet": found,
            "wanted": wanted,
            "states": STATES,
            "labels": LABELS,
            "page_size": PAGE,
            "noun": NOUNS[wanted.show],
            "choices": self._tables.crowd(ask.now_s).choices,
        }

    def incidents(self, ask: Ask) -> dict[str, Any]:
        """Return the incidents, active ones first."""
        found = self._board.incidents()
        views = [self._view(incident) for incident in found[:LISTED_MAX]]
        return {
            "incidents": [(v.incident, headline(v), severity(v.incident), cost(v.incident, clock)) for v in views],
            "total": len(found),
        }

    def incident(self, ask: Ask) -> dict[str, Any]:
        """Return one incident with all that is known of it. Raises Missing."""
        found = self._board.lookup(ask.name)
        if found is None:
            raise Missing("There is no such incident (any more): they are kept for a day after they are over.")
        incident, members = found
        view = View(incident=incident, members=tuple(members), **self._links())
        kill_id = f"{incident.scope}@{incident.epoch}.{incident.seq}"
        return {
            "incident": incident,
            "members": [(member, headline(View(incident=member))) for member in members],
            "headline": headline(view),
            "severity": severity(incident),
            "cost": cost(incident, clock),
            "since": since(incident, clock),
            "advice": advice(incident, members, clock),
            "done": done(view, clock),
            "standing": standing(view, clock=clock),
            "buttons": _buttons(incident, members),
            "needs_reason": NEEDS_REASON,
            "reason_min": REASON_MIN,
            "reason_max": REASON_MAX,
            "target": target_of(incident, members),
            "obeys": self._board.obedience.of(kill_id, ask.now_s) if incident.in_force else [],
            "kill_id": kill_id if incident.seq else "",
            "scored": self._score(incident),
            "runbook": view.runbook_url.replace("{incident}", incident.id),
            "dashboard": view.dashboard_url.replace("{incident}", incident.id),
            "said": next((label for verb, (label, _) in BUTTONS.items() if verb == ask.query.get("done")), ""),
            "audit": [line for line in self._board.audit if line.incident_id == incident.id][::-1],
        }

    def _score(self, incident: Incident) -> Scored | None:
        return self._board.agents.scores.get(incident.scope)

    def _view(self, incident: Incident) -> View:
        return View(incident=incident, members=tuple(self._board.book.members(incident.id)))

    def _links(self) -> dict[str, str]:
        settings = self._facts.settings()
        return {"runbook_url": str(settings.runbook_url or ""), "dashboard_url": str(settings.dashboard_url or "")}

    def commands(self, ask: Ask) -> dict[str, Any]:
        """Return what is in force, what was ordered and what was asked for."""
        board = self._board
        obeyed = {
            command.kill_id: board.obedience.of(command.kill_id, ask.now_s) for command in board.in_force(ask.now_s)
        }
        return {
            "in_force": board.in_force(ask.now_s)[:LISTED_MAX],
            "obeyed": obeyed,
            "history": list(board.commands)[::-1][:LISTED_MAX],
            "audit": list(board.audit)[::-1][:LISTED_MAX],
            "incident_of": lambda name: board.book.find(name) is not None,
        }

    def gateways(self, ask: Ask) -> dict[str, Any]:
        """Return the gateways and how fresh their view is."""
        return {"gateways": self._board.obedience.gateways(ask.now_s), "end": self._board.obedience.end}

    def spend(self, ask: Ask) -> dict[str, Any]:
        """Return spend by the dimension and span that are asked for, and the call that is looked up."""
        wanted = ask.query.get("by", "team")
        asked = ask.query.get("span", "day")
        by: Dimension = next((name for name in DIMENSIONS if name == wanted), "team")
        span: Span = next((name for name in HOURS if name == asked), "day")
        event_id = ask.query.get("event", "").strip()[:128]
        calls = self._board.calls
        return {
            "statement": self._tables.statement(by, span, ask.now_s),
            "by": by,
            "span": span,
            "dimensions": DIMENSIONS,
            "spans": {"hour": "This hour", "day": "24 hours", "week": "7 days"},
            "event": event_id,
            "found": calls.find(event_id) if event_id else None,
            "calls_kept": calls.count,
            "calls_since_s": calls.since_s(),
        }

    def settings(self, ask: Ask) -> dict[str, Any]:
        """Return the settings in force, and what shadow mode would have done today."""
        settings = self._facts.settings()
        values: list[Shown] = shown(settings)
        today = [d for d in self._board.decisions if d.shadow and LADDER[d.action] >= LADDER[Action.WARN]]
        counts: dict[str, int] = {}
        for decision in today:
            counts[decision.action] = counts.get(decision.action, 0) + 1
        return {
            "values": values,
            "changed": sum(not value.is_default for value in values),
            "reading": self._facts.reading(),
            "shadow": today[::-1][:LISTED_MAX],
            "shadow_counts": counts,
            "incident_of": lambda name: self._board.book.find(name) is not None,
        }


def _buttons(incident: Incident, members: Sequence[Incident]) -> list[tuple[Verb, str, str]]:
    """Return the verbs that have anything to do, in the order in which they are offered."""
    held = incident.in_force == "held"
    return [
        (verb, *BUTTONS[verb])
        for verb in BUTTONS
        if verb in VERBS and fits(verb, incident, members) and not (held and verb == "release")
    ]
