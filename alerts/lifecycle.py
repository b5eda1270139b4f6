"""PURE: what becomes of one incident when something is heard of it."""

from msgspec.structs import replace

from alerts.aftermath import NOTHING, Aftermath
from alerts.approving import LASTS_S, covers
from alerts.decision import Action, Decision, Evidence
from alerts.incident import LADDER, STATE_OF, Act, Incident, Moment, Outcome, Status

TIMELINE_MAX = 30
ALIASES_MAX = 16


def seen(incident: Incident, now_s: float, what: str, who: str = "", *, urgent: bool = True) -> Incident:
    """Count a change that a reader can see, and note it in the history unless `what` is empty."""
    revision = incident.revision + 1
    return replace(
        incident,
        revision=revision,
        urgent=revision if urgent else incident.urgent,
        timeline=_noted(incident.timeline, Moment(now_s, what, who)) if what else incident.timeline,
    )


def _noted(timeline: tuple[Moment, ...], moment: Moment) -> tuple[Moment, ...]:
    """Keep how it began and what came last; the middle is what may be forgotten."""
    kept = (*timeline, moment)
    return kept if len(kept) <= TIMELINE_MAX else kept[:5] + kept[5 - TIMELINE_MAX :]


def nudged(incident: Incident) -> Incident:
    """Ask that people are told again, not by a silent edit."""
    return replace(incident, nudges=incident.nudges + 1)


def opened(decision: Decision, outcome: Outcome, offset: int, now_s: float) -> Incident:
    """Begin the incident that `decision` names."""
    begun = Incident(
        id=decision.incident_id,
        scope=decision.scope,
        action=decision.action,
        shadow=decision.shadow,
        reason=decision.reason,
        detector=decision.detector,
        score=decision.score,
        actor=decision.actor,
        evidence=decision.evidence,
        asked=decision.asked,
        began_s=decision.window_start_s or decision.at_s,
        opened_s=now_s,
        heard_s=now_s,
        status_s=now_s,
        offset=offset,
        said_s=decision.at_s,
        timeline=(Moment(now_s, f"{decision.action}: {decision.reason}", decision.actor),),
    )
    return _commanded(begun, decision, outcome, now_s)


def heard(incident: Incident, decision: Decision, outcome: Outcome, offset: int, now_s: float) -> Incident:
    """Fold one more decision into its incident; one that was applied before changes nothing."""
    if 0 <= offset <= incident.offset and decision.at_s <= incident.said_s:
        return incident
    offset = offset if offset >= 0 else incident.offset
    incident = replace(incident, offset=offset, said_s=max(decision.at_s, incident.said_s), heard_s=now_s)
    if decision.action is Action.RELEASE:
        return _released(incident, decision, outcome, now_s)
    louder = LADDER[decision.action] > LADDER[incident.action] or (incident.shadow and not decision.shadow)
    incident = replace(
        incident,
        action=max(incident.action, decision.action, key=LADDER.__getitem__),
        shadow=incident.shadow and decision.shadow,
        reason=decision.reason if louder or decision.action is incident.action else incident.reason,
        detector=decision.detector or incident.detector if louder else incident.detector,
        score=max(incident.score, decision.score),
        evidence=_merged(incident.evidence, decision.evidence),
        also=_aliases(incident, decision.incident_id),
    )
    noted = louder or decision.actor != "detector"
    what = f"{decision.action}: {decision.reason}" if noted else ""
    incident = seen(incident, now_s, what, decision.actor, urgent=noted)
    return _commanded(_woken(incident, decision, now_s, louder=louder), decision, outcome, now_s)


def _woken(incident: Incident, decision: Decision, now_s: float, *, louder: bool) -> Incident:
    """A closed incident reopens; a stronger measure takes back an acknowledgement or a snooze.

    What was planned stays quiet until its time is over, unless calls are refused again.
    """
    strong = LADDER[decision.action] >= LADDER[Action.THROTTLE]
    quiet = incident.status is Status.PLANNED and now_s < incident.until_s and not strong
    if quiet or incident.status is Status.OPEN or (incident.active and not louder):
        return incident
    again = "reopened" if not incident.active else "worse since it was last looked at"
    incident = _with_status(incident, Status.OPEN, now_s, decision.actor, decision.reason)
    return nudged(seen(incident, now_s, f"{again}: {decision.reason}"))


def _commanded(incident: Incident, decision: Decision, outcome: Outcome, now_s: float) -> Incident:
    if outcome.refused:
        told = replace(incident, refused=outcome.refused)
        return seen(told, now_s, f"{decision.action} refused: {outcome.refused}", decision.actor)
    if decision.shadow or (outcome.epoch, outcome.seq) <= (incident.epoch, incident.seq):
        return incident
    return replace(
        incident,
        in_force=STATE_OF.get(decision.action, incident.in_force),
        epoch=outcome.epoch,
        seq=outcome.seq,
        expires_s=decision.expires_s if outcome.expires_s is None else outcome.expires_s,
        coverage="",
        after=NOTHING,
        refused="",
        probation_s=decision.probation_s or incident.probation_s,
        watched_until_s=0.0,
    )


def _released(incident: Incident, decision: Decision, outcome: Outcome, now_s: float) -> Incident:
    if outcome.refused and not incident.in_force and not incident.active:
        return incident
    if outcome.refused:
        return seen(incident, now_s, f"release refused: {outcome.refused}", decision.actor)
    if outcome.seq and (outcome.epoch, outcome.seq) <= (incident.epoch, incident.seq):
        return incident
    freed = replace(
        incident,
        in_force="",
        expires_s=None,
        coverage="",
        watched_until_s=now_s + incident.probation_s if incident.probation_s and not decision.planned else 0.0,
        epoch=outcome.epoch or incident.epoch,
        seq=outcome.seq or incident.seq,
    )
    if freed.status is not Status.PLANNED:
        freed = _with_status(freed, Status.RELEASED, now_s, decision.actor, decision.reason)
    what = "released" if decision.use is None else covers(decision.use)
    if decision.use is not None:
        ends_s = outcome.expires_s or now_s + LASTS_S[decision.use]
        freed = replace(freed, approved=what, approved_until_s=ends_s)
    return seen(freed, now_s, f"{what}: {decision.reason}", decision.actor)


def _with_status(incident: Incident, status: Status, now_s: float, who: str, why: str) -> Incident:
    return replace(incident, status=status, status_s=now_s, status_by=who, status_reason=why, until_s=0.0)


def _aliases(incident: Incident, also: str) -> tuple[str, ...]:
    if also == incident.id or also in incident.also:
        return incident.also
    return (*incident.also, also)[-ALIASES_MAX:]


def _merged(before: Evidence, after: Evidence) -> Evidence:
    """Keep what the newer evidence does not say."""
    dearest = max(before, after, key=lambda evidence: evidence.spend_usd)
    return Evidence(
        team=after.team or before.team,
        agent=after.agent or before.agent,
        run=after.run or before.run,
        model=after.model or before.model,
        seen_usd_per_min=after.seen_usd_per_min or before.seen_usd_per_min,
        usual_usd_per_min=after.usual_usd_per_min or before.usual_usd_per_min,
        spend_usd=dearest.spend_usd,
        since_s=dearest.since_s,
        calls=max(after.calls, before.calls),
        says={**before.says, **after.says},
    )


def acted(incident: Incident, act: Act, now_s: float) -> Incident:
    """Apply what a person did; what does not fit the incident's state changes nothing."""
    match act.verb:
        case "acknowledge" if incident.status in {Status.OPEN, Status.SNOOZED}:
            status, what = Status.ACKNOWLEDGED, "acknowledged"
        case "snooze" if incident.active and act.until_s > now_s:
            status, what = Status.SNOOZED, f"snoozed for {(act.until_s - now_s) / 60:.0f} min"
        case "plan" if incident.status is not Status.PLANNED and incident.kind == "single":
            status, what = Status.PLANNED, "marked as planned"
        case "note" if act.reason:
            return seen(incident, now_s, act.reason, act.actor)
        case _:
            return incident
    incident = replace(_with_status(incident, status, now_s, act.actor, act.reason), until_s=act.until_s)
    return seen(incident, now_s, f"{what}: {act.reason}" if act.reason else what, act.actor)


def covered(incident: Incident, text: str, now_s: float) -> Incident:
    """Note which gateways obey, in words; the first word of it does not wait."""
    if text == incident.coverage:
        return incident
    return seen(replace(incident, coverage=text), now_s, "", urgent=not incident.coverage)


def went_on(incident: Incident, after: Aftermath, now_s: float) -> Incident:
    """Note what was seen since the command; the first call that gets through doesn't wait."""
    known = incident.after.plus(after)
    if known == incident.after:
        return incident
    return seen(replace(incident, after=known), now_s, "", urgent=known.calls > 0 == incident.after.calls)


def aged(incident: Incident, now_s: float, resolve_after_s: float) -> Incident:
    """Let time pass: a command lapses, a probation ends, what nobody hears of resolves, a snooze ends."""
    if incident.in_force and incident.expires_s is not None and incident.expires_s <= now_s:
        watched_until_s = incident.expires_s + incident.probation_s if incident.probation_s else 0.0
        lapsed = replace(incident, in_force="", expires_s=None, coverage="", watched_until_s=watched_until_s)
        why = f"no longer {incident.in_force}: the time was over"
        return resolved(lapsed, why, now_s) if lapsed.active else seen(lapsed, now_s, why)
    if incident.watched_until_s and incident.watched_until_s <= now_s:
        return seen(replace(incident, watched_until_s=0.0), now_s, "its probation is over", urgent=False)
    silent_s = now_s - max(incident.heard_s, incident.until_s)
    if incident.kind == "single" and incident.active and not incident.in_force and silent_s >= resolve_after_s:
        return resolved(incident, f"nothing more for {resolve_after_s / 60:.0f} min", now_s)
    if incident.status is Status.SNOOZED and incident.until_s <= now_s:
        awake = _with_status(incident, Status.OPEN, now_s, "", "the snooze is over")
        return nudged(seen(awake, now_s, "the snooze is over"))
    return incident


def resolved(incident: Incident, why: str, now_s: float) -> Incident:
    """Close it without a person."""
    return seen(_with_status(incident, Status.RESOLVED, now_s, "", why), now_s, f"resolved: {why}")
