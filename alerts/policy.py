"""From a score to a decision: the ladder, its floors and its limits. Pure: time comes in as a number."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Self

from msgspec import Struct, structs

from alerts.decision import Action, Decision, Evidence, incident_id
from alerts.probation import (
    NEW,
    Leash,
    Probation,
    Trial,
    bar,
    breaches,
    freed,
    kill_s,
    on_probation,
    probation_s,
    struck,
)

LADDER = (Action.OBSERVE, Action.WARN, Action.THROTTLE, Action.HOLD, Action.KILL)
_RANK = {action: rank for rank, action in enumerate(LADDER)}


class Rules(Struct, frozen=True, kw_only=True):
    """How hard Brakeline acts.

    A score of 1.0 is the detectors' own bar for a kill; what only warns does so whenever it speaks.
    `suspicious` is the action between `hold_at` and 1.0.
    Floors: nothing stronger than a warning below `min_usd_per_min` and `min_tokens_per_min` both, or before
    `min_calls` calls. `consecutive` breaches in a row are needed for a kill.
    """

    shadow: bool = True
    weight: float = 1.0
    """What scores are multiplied by: below 1 where fewer false kills are accepted than elsewhere."""
    warn_at: float = 0.65
    hold_at: float = 0.7
    kill_at: float = 1.0
    suspicious: Action = Action.WARN
    min_usd_per_min: float = 0.0002
    min_tokens_per_min: float = 100.0
    min_calls: int = 1
    consecutive: int = 1
    cooldown_s: float = 60.0
    kill_duration_s: float | None = 3600.0
    quiet_s: float = 1800.0
    probation: Probation = Probation()
    protected: tuple[str, ...] = ()
    blast_agents_share: float = 0.1
    blast_agents_min: int = 5
    blast_window_s: float = 3600.0
    blast_usd: float | None = None
    """Spend that may be stopped within the window, by the scopes' rates when they were killed."""


class RuleBook:
    """The rules by scope: `find(scope, team, environment)` is asked once each and remembered (100,000 at most)."""

    def __init__(self, find: Callable[[str, str, str], Rules]) -> None:
        self._find = find
        self._known: dict[tuple[str, str, str], Rules] = {}

    @classmethod
    def same(cls, rules: Rules) -> Self:
        """Return a book with the same rules for everybody."""
        return cls(lambda _scope, _team, _environment: rules)

    def of(self, scope: str, team: str, environment: str = "") -> Rules:
        """Return the rules in force for a scope."""
        key = (scope, team, environment)
        rules = self._known.get(key)
        if rules is None:
            if len(self._known) >= 100_000:
                self._known.clear()
            rules = self._known[key] = self._find(*key)
        return rules


class Breach(Struct, frozen=True, kw_only=True):
    """What the judges say of a scope at one moment; `alert_only` caps the ladder at a warning."""

    scope: str
    value: float
    detector: str
    reason: str
    window_start_s: float
    alert_only: bool = False
    sure: bool = False
    """A hard limit of the customer's: floors and consecutive breaches don't apply."""
    evidence: Evidence = Evidence()
    tokens_per_min: float = 0.0


class Standing(Struct, array_like=True):
    """Where a scope stands: the incident that is open, the rung it reached, and until when."""

    incident_id: str = ""
    action: Action = Action.OBSERVE
    since_s: float = 0.0
    until_s: float | None = None
    breaches: int = 0
    last_s: float = 0.0
    quiet_until_s: float = 0.0
    trial: Trial = NEW
    shadow: bool = False
    """It was only said what would have been done."""
    leash: Leash | None = None
    """What it has used on probation; None before its first call there."""

    def in_force(self, now_s: float) -> bool:
        """Tell whether a kill, hold or throttle of this scope still holds."""
        return _RANK[self.action] >= _RANK[Action.THROTTLE] and (self.until_s is None or now_s < self.until_s)


class Blast(Struct, array_like=True):
    """Scopes killed without a person, oldest first: when, which, and the dollars a minute that it spent."""

    kills: list[tuple[float, str, float]] = []


def decide(
    rules: Rules, standing: Standing, breach: Breach, now_s: float, *, blast: Blast, agents: int
) -> Decision | None:
    """Return the decision that `breach` calls for, and move `standing` (and `blast`) on; None if nothing new.

    `agents` is the number of agents seen lately, the base of the blast radius.
    """
    if standing.shadow and not rules.shadow:
        renew(standing)
    if standing.in_force(now_s) and standing.action is Action.KILL:
        return None
    if rules.weight != 1.0 and not (breach.sure or breach.alert_only):
        breach = structs.replace(breach, value=rules.weight * breach.value)
    lapse(rules, standing, now_s)
    if now_s - standing.last_s > rules.quiet_s:
        renew(standing)
    standing.last_s = now_s
    action, note = _rung(rules, standing, breach, now_s)
    if action is Action.KILL:
        action, held = _within_blast(rules, blast, breach, agents, now_s)
        note = held or note
    if _RANK[action] <= _RANK[standing.action] or (now_s < standing.quiet_until_s and not breach.sure):
        return None
    return _act(rules, standing, breach, action, note, now_s)


def renew(standing: Standing) -> None:
    """Begin anew: what follows is another incident."""
    standing.incident_id = ""
    standing.action = Action.OBSERVE
    standing.breaches = 0
    standing.until_s = None
    standing.shadow = False


def lapse(rules: Rules, standing: Standing, now_s: float) -> None:
    """Begin the probation of a scope whose time is over."""
    until_s = standing.until_s
    if _RANK[standing.action] >= _RANK[Action.THROTTLE] and until_s is not None and now_s >= until_s:
        standing.trial, standing.leash = freed(standing.trial, rules.probation, until_s), None
        renew(standing)


def _rung(rules: Rules, standing: Standing, breach: Breach, now_s: float) -> tuple[Action, str]:
    """Return how far up the ladder this breach reaches, and why no further."""
    if breach.value < rules.warn_at and not breach.alert_only:
        standing.breaches = 0
        return Action.OBSERVE, ""
    trial = standing.trial
    stop_at = rules.kill_at * bar(trial, rules.probation, now_s)
    if breach.value < min(rules.hold_at, stop_at):
        return Action.WARN, ""
    if breach.alert_only:
        return Action.WARN, "this detector only warns"
    if is_protected(rules, breach.scope, breach.evidence):
        return Action.WARN, "the scope is protected"
    if not breach.sure and (floor := _below_floor(rules, breach)):
        return Action.WARN, floor
    if breach.value < stop_at:
        return rules.suspicious, ""
    standing.breaches += 1
    consecutive = breaches(rules.consecutive, trial, rules.probation, now_s)
    if standing.breaches < consecutive and not breach.sure:
        return rules.suspicious, f"breach {standing.breaches} of {consecutive}"
    return Action.KILL, "on probation" if on_probation(trial, now_s) and breach.value < rules.kill_at else ""


def is_protected(rules: Rules, scope: str, evidence: Evidence) -> bool:
    """Tell whether a person has to decide on this scope: it, or the agent or team behind it, is protected."""
    names = (scope, f"agent:{evidence.agent}", f"team:{evidence.team}")
    return any(fnmatchcase(name, pattern) for pattern in rules.protected for name in names)


def _below_floor(rules: Rules, breach: Breach) -> str:
    usd = breach.evidence.seen_usd_per_min
    if usd < rules.min_usd_per_min and breach.tokens_per_min < rules.min_tokens_per_min:
        return f"below the floors of ${rules.min_usd_per_min:g} and {rules.min_tokens_per_min:,.0f} tokens a minute"
    if breach.evidence.calls and breach.evidence.calls < rules.min_calls:
        return f"fewer than {rules.min_calls} calls"
    return ""


def _within_blast(rules: Rules, blast: Blast, breach: Breach, agents: int, now_s: float) -> tuple[Action, str]:
    """Hold back a kill when too much was killed lately without a person."""
    blast.kills[:] = [k for k in blast.kills if k[0] > now_s - rules.blast_window_s]
    minutes, rate = rules.blast_window_s / 60, breach.evidence.seen_usd_per_min
    room = max(rules.blast_agents_min, int(rules.blast_agents_share * agents))
    if len({scope for _, scope, _ in blast.kills} | {breach.scope}) > room:
        return Action.HOLD, f"{room} scopes were killed within {minutes:.0f} min: a person has to decide"
    stopped = minutes * (rate + sum(usd for _, _, usd in blast.kills))
    if rules.blast_usd is not None and stopped > rules.blast_usd:
        return Action.HOLD, f"${stopped:,.0f} would be stopped within {minutes:.0f} min: a person has to decide"
    blast.kills.append((now_s, breach.scope, rate))
    return Action.KILL, ""


def _act(rules: Rules, standing: Standing, breach: Breach, action: Action, note: str, now_s: float) -> Decision:
    if not standing.incident_id:
        standing.incident_id = incident_id(breach.scope, breach.detector, breach.window_start_s)
    standing.action = action
    standing.shadow = rules.shadow
    standing.since_s = now_s
    standing.until_s = _until(rules, standing, action, now_s)
    if action is Action.KILL:
        standing.trial = struck(standing.trial, rules.probation, now_s)
        times = standing.trial.strikes
        note = note if times < 2 else "; ".join(filter(None, (note, f"stopped {times} times lately")))
    return Decision(
        at_s=now_s,
        scope=breach.scope,
        action=action,
        reason=f"{breach.reason} ({note})" if note else breach.reason,
        incident_id=standing.incident_id,
        detector=breach.detector,
        score=round(breach.value, 3),
        shadow=rules.shadow,
        window_start_s=breach.window_start_s,
        expires_s=standing.until_s,
        probation_s=probation_s(standing.trial, rules.probation, now_s) if _RANK[action] > _RANK[Action.WARN] else 0.0,
        evidence=breach.evidence,
    )


def _until(rules: Rules, standing: Standing, action: Action, now_s: float) -> float | None:
    """A repeat offender stays off twice as long each time, at most a day."""
    if rules.kill_duration_s is None or _RANK[action] < _RANK[Action.THROTTLE]:
        return None
    lasts_s = kill_s(rules.kill_duration_s, standing.trial, rules.probation, now_s)
    return now_s + min(lasts_s, max(86_400.0, rules.kill_duration_s))


def release(rules: Rules, standing: Standing, now_s: float, *, planned: bool = False) -> None:
    """Take note that a person released the scope: it is on probation, unless what it did was planned.

    For `cooldown_s` it is left alone: what was under way when it was stopped must not stop it again.
    """
    renew(standing)
    standing.trial = NEW if planned else freed(standing.trial, rules.probation, now_s)
    standing.leash = None
    standing.quiet_until_s = now_s + rules.cooldown_s
