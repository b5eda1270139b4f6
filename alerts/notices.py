"""PURE: what a sink still has to be told, and what it was told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from alerts.incident import Delivery, Incident, severity
from alerts.incidents import Book

SEVERITIES = ("info", "warning", "critical")
NEVER = Delivery()

Need = Literal["post", "update", "nudge"]


class QuietHours(Struct, frozen=True, kw_only=True):
    """A time of day in which mild news waits; one that ends at or before its start ends on the next day."""

    start_min: int = 22 * 60
    end_min: int = 7 * 60
    """Minutes since midnight."""
    zone: str = "UTC"
    days: frozenset[int] = frozenset(range(7))
    """Days on which it starts, 0 is Monday."""
    hold: frozenset[str] = frozenset({"info", "warning"})

    def holds(self, level: str, now_s: float) -> bool:
        """Whether news of that severity waits at `now_s`."""
        if level not in self.hold:
            return False
        local = datetime.fromtimestamp(now_s, ZoneInfo(self.zone))
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start_min < self.end_min:
            return today in self.days and self.start_min <= minute < self.end_min
        begun = today in self.days and minute >= self.start_min
        return begun or ((today - 1) % 7 in self.days and minute < self.end_min)


class Repeats(Struct, frozen=True, kw_only=True):
    """Seconds after which what nobody has acknowledged is said again, by severity; 0 never."""

    info: float = 0.0
    warning: float = 0.0
    critical: float = 3_600.0


class Telling(Struct, frozen=True, kw_only=True):
    """How one sink wants to be told."""

    least: str = "info"
    """The mildest severity that it hears of."""
    group_wait_s: float = 1.0
    """A first message waits so long for others of the same event."""
    urgent_gap_s: float = 1.0
    refresh_s: float = 30.0
    """An edit that only carries newer figures comes at most this often."""
    repeats: Repeats = Repeats()
    nudge_gap_s: float = 30.0
    quiet: tuple[QuietHours, ...] = ()


class Notice(Struct, frozen=True):
    """Something to send; `uncertain` says that an earlier attempt may have arrived."""

    incident: str
    need: Need
    uncertain: bool = False


def due(book: Book, sink: str, telling: Telling, now_s: float) -> list[Notice]:
    """Return what `sink` should be sent now, the most important first.

    Critical first messages come first, then other first messages, then news of what is known already; the
    longest waiting first within each.
    """
    found = []
    for incident in book.incidents.values():
        delivery = incident.deliveries.get(sink, NEVER)
        need = _need(incident, delivery, telling, now_s)
        if need:
            rank = 0 if incident.critical else 1 if need == "post" else 2
            order = (rank, need != "post", delivery.at_s or incident.opened_s, incident.id)
            found.append((order, Notice(incident.id, need, uncertain=need == "post" and delivery.intent_s > 0)))
    return [notice for _, notice in sorted(found, key=lambda pair: pair[0])]


def _need(incident: Incident, delivery: Delivery, telling: Telling, now_s: float) -> Need | None:
    level = severity(incident)
    told = delivery.at_s > 0
    if not told and (incident.parent or SEVERITIES.index(level) < SEVERITIES.index(telling.least)):
        # An attempt that may have arrived is settled even so: its message must not stay as it was.
        return "post" if delivery.intent_s > 0 else None
    held = any(hours.holds(level, now_s) for hours in telling.quiet)
    if not told:
        return "post" if not held and now_s - incident.opened_s >= telling.group_wait_s else None
    if incident.revision > delivery.revision:
        gap_s = telling.urgent_gap_s if incident.urgent > delivery.revision else telling.refresh_s
        if now_s - delivery.at_s >= gap_s:
            return "update"
    return "nudge" if not held and _wants_nudge(incident, delivery, telling, now_s) else None


def _wants_nudge(incident: Incident, delivery: Delivery, telling: Telling, now_s: float) -> bool:
    if incident.parent:
        return False
    since_s = now_s - delivery.nudged_s
    if incident.nudges > delivery.nudges:
        return since_s >= telling.nudge_gap_s
    repeat_s: float = getattr(telling.repeats, severity(incident))
    return incident.status == "open" and 0 < repeat_s <= since_s


def intending(incident: Incident, sink: str, now_s: float) -> Incident:
    """Note that a first message is about to be sent; kept before it is."""
    delivery = incident.deliveries.get(sink, NEVER)
    return _delivered(incident, sink, replace(delivery, intent_s=delivery.intent_s or now_s))


def not_sent(incident: Incident, sink: str) -> Incident:
    """Note that the first message surely did not arrive."""
    return replace(incident, deliveries={name: at for name, at in incident.deliveries.items() if name != sink})


def told(incident: Incident, sink: str, said: Incident, place: tuple[str, str], now_s: float) -> Incident:
    """Note that `sink` shows `said`, an earlier state of `incident`, in the message at `place` (channel, id)."""
    before = incident.deliveries.get(sink, NEVER)
    first = before.at_s == 0
    delivery = replace(
        before,
        revision=said.revision,
        at_s=now_s,
        intent_s=0.0,
        channel=place[0],
        message=place[1],
        nudges=said.nudges if first else before.nudges,
        nudged_s=now_s if first else before.nudged_s,
    )
    return _delivered(incident, sink, delivery)


def nudged_at(incident: Incident, sink: str, said: Incident, now_s: float) -> Incident:
    """Note that `sink` was told again."""
    before = incident.deliveries.get(sink, NEVER)
    return _delivered(incident, sink, replace(before, nudges=said.nudges, nudged_s=now_s))


def given_up(incident: Incident, sink: str, said: Incident, why: str, now_s: float) -> Incident:
    """Note that `sink` will never take this revision; the next one is tried afresh."""
    before = incident.deliveries.get(sink, NEVER)
    refused = replace(
        before, revision=said.revision, at_s=now_s, intent_s=0.0, nudges=said.nudges, nudged_s=now_s, given_up=why
    )
    return _delivered(incident, sink, refused)


def _delivered(incident: Incident, sink: str, delivery: Delivery) -> Incident:
    deliveries: Mapping[str, Delivery] = {**incident.deliveries, sink: delivery}
    return replace(incident, deliveries=deliveries)
