"""PURE: what time does to the incidents: they lapse, find who speaks for them, resolve and retire."""

from collections.abc import Callable, Sequence

from alerts.grouping import SMALLER, adopted, covers, gather, is_free, is_storm, kind_of, summed, team_event
from alerts.incident import CHAT, LADDER, Incident
from alerts.incidents import Book
from alerts.lifecycle import aged, resolved, seen

GROUP_LIFE_S = 3_600.0


def tick(book: Book, now_s: float) -> set[str]:
    """Let time pass; return the ids whose rows changed or are gone."""
    steps: Sequence[Callable[[Book, float], set[str]]] = (_age, _adopt, _gather, _sum, _settle, _retire)
    return set().union(*(step(book, now_s) for step in steps))


def _age(book: Book, now_s: float) -> set[str]:
    return book.change([aged(i, now_s, book.rules.resolve_after_s) for i in list(book.incidents.values())])


def _adopt(book: Book, now_s: float) -> set[str]:
    """Find those who speak for an incident; set free those whose speaker has closed."""
    changed = set[str]()
    everywhere = [
        i for i in book.incidents.values() if i.active and i.kind == "single" and kind_of(i.scope) == "global"
    ]
    for incident in [i for i in book.incidents.values() if i.active and i.kind != "digest"]:
        parent = book.incidents.get(incident.parent)
        if parent is None or not parent.active:
            found = _speaker(book, incident, everywhere)
            if found != incident.parent:
                changed |= book.update(adopted(incident, found, now_s)) | _joined(book, found, now_s)
    return changed


def _speaker(book: Book, incident: Incident, everywhere: Sequence[Incident]) -> str:
    evidence = incident.evidence
    wider = map(book.current, (f"team:{evidence.team}", f"agent:{evidence.agent}"))
    window_s = book.rules.grouping.window_s
    return next((s.id for s in (*everywhere, *filter(None, wider)) if covers(s, incident, window_s)), "")


def _gather(book: Book, now_s: float) -> set[str]:
    """Make or widen the storm's digest and the teams' events."""
    rules, changed = book.rules.grouping, set[str]()
    free = [incident for incident in book.incidents.values() if is_free(incident)]
    untold = [incident for incident in free if CHAT not in incident.deliveries]
    digest = _taking(book, "digest", "global:storm", now_s)
    if untold and (digest or is_storm(untold, rules)):
        changed |= _into(book, digest, "digest", untold, now_s)
        free = [incident for incident in free if CHAT in incident.deliveries]
    joining: dict[str, list[Incident]] = {}
    for incident in free:
        group = _taking(book, "group", f"team:{incident.evidence.team}", now_s)
        fits = group and group.shadow is incident.shadow and kind_of(incident.scope) in SMALLER["team"]
        joining.setdefault(group.id if group and fits else "", []).append(incident)
    lonely = joining.pop("", [])
    for name, members in joining.items():
        changed |= _into(book, book.incidents[name], "group", members, now_s)
    return changed.union(*(_into(book, None, "group", team, now_s) for team in team_event(lonely, rules, now_s)))


def _taking(book: Book, kind: str, scope: str, now_s: float) -> Incident | None:
    """Return the group that still takes in members, if there is one."""
    rules, group = book.rules.grouping, book.latest(kind, scope)
    if group is None or not group.active:
        return None
    digest = kind == "digest"
    idle_s, life_s = (rules.storm_window_s, rules.digest_max_s) if digest else (rules.window_s, GROUP_LIFE_S)
    return group if now_s - group.heard_s < idle_s and now_s - group.opened_s < life_s else None


def _into(book: Book, group: Incident | None, kind: str, members: Sequence[Incident], now_s: float) -> set[str]:
    into = gather(kind, members, now_s) if group is None else group
    changed = book.update(into).union(*(book.update(adopted(member, into.id, now_s)) for member in members))
    return changed if group is None else changed | _joined(book, into.id, now_s)


def _joined(book: Book, parent: str, now_s: float) -> set[str]:
    speaker = book.incidents.get(parent)
    if speaker is None:
        return set()
    if speaker.kind == "single":
        return book.update(seen(speaker, now_s, "", urgent=False))
    return book.update(summed(speaker, book.members(parent), now_s, joined=True))


def _sum(book: Book, now_s: float) -> set[str]:
    """Let the groups say what their members say by now."""
    parents = [book.incidents[name] for name in book.outdated if name in book.incidents]
    book.outdated.clear()
    groups = [parent for parent in parents if parent.kind != "single" and parent.active]
    return book.change([summed(group, book.members(group.id), now_s, joined=False) for group in groups])


def _settle(book: Book, now_s: float) -> set[str]:
    """Close the groups whose members are all closed."""
    busy = {incident.parent for incident in book.incidents.values() if incident.active}
    done = [i for i in book.incidents.values() if i.kind != "single" and i.active and i.id not in busy]
    return book.change([resolved(i, "all of its members are closed", now_s) for i in done])


def _retire(book: Book, now_s: float) -> set[str]:
    """Forget what has long been closed; above the bound, the closed and the mildest go first."""
    rules = book.rules
    closed = (i for i in book.incidents.values() if not i.active and not i.in_force)
    gone = {i.id for i in closed if now_s - i.status_s >= rules.retire_after_s}
    excess = len(book.incidents) - len(gone) - rules.incidents_max
    if excess > 0:
        kept = [i for i in book.incidents.values() if i.id not in gone]
        kept.sort(
            key=lambda i: (
                i.active and i.kind != "single",
                bool(i.in_force),
                i.active,
                LADDER[i.action],
                i.heard_s,
                i.id,
            )
        )
        gone |= {incident.id for incident in kept[:excess]}
    for name in gone:
        book.forget(name)
    return gone
