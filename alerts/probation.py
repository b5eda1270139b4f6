"""PURE: what follows a release or an expiry: less room and a shorter fuse, until the scope is trusted again."""

from msgspec import Struct
from msgspec.structs import replace


class Probation(Struct, frozen=True, kw_only=True):
    """How a scope earns its trust back."""

    span_s: float = 1_800.0
    share: float = 0.1
    """Part of its limits that a scope on probation may use."""
    bar: float = 0.5
    """Part of the score that is enough to stop it."""
    breaches_max: int = 1
    """Breaches in a row that are enough to stop it."""
    forgive_s: float = 86_400.0
    """A strike is forgotten after this long without another."""
    longer: float = 2.0
    """Each strike makes the next kill, and the next probation, so much longer."""
    strikes_max: int = 6


class Trial(Struct, frozen=True, omit_defaults=True):
    """What is remembered of one scope: how often it was stopped lately, and until when it is watched."""

    strikes: int = 0
    struck_s: float = 0.0
    until_s: float = 0.0


NEW = Trial()
"""Also what a scope gets whose excess a person called planned."""


def struck(trial: Trial, rules: Probation, now_s: float) -> Trial:
    """Note that the scope was stopped."""
    strikes = standing(trial, rules, now_s) + 1
    return Trial(strikes=min(strikes, rules.strikes_max), struck_s=now_s, until_s=trial.until_s)


def freed(trial: Trial, rules: Probation, now_s: float) -> Trial:
    """Begin the probation: the scope was released, or its kill expired."""
    strikes = max(standing(trial, rules, now_s), 1)
    return replace(trial, strikes=strikes, until_s=now_s + rules.span_s * rules.longer ** (strikes - 1))


def standing(trial: Trial, rules: Probation, now_s: float) -> int:
    """Return the strikes that count at `now_s`: one is forgotten every `forgive_s`."""
    if trial.strikes == 0:
        return 0
    forgiven = int(max(now_s - max(trial.struck_s, trial.until_s), 0.0) // rules.forgive_s)
    return max(trial.strikes - forgiven, 0)


def on_probation(trial: Trial, now_s: float) -> bool:
    """Whether the scope is watched at `now_s`."""
    return now_s < trial.until_s


def limit_usd(limit_usd_: float, trial: Trial, rules: Probation, now_s: float) -> float:
    """Return the limit in force: a tenth of the usual one on probation.

    >>> limit_usd(50.0, freed(NEW, Probation(), 0.0), Probation(), 60.0)
    5.0
    """
    return limit_usd_ * rules.share if on_probation(trial, now_s) else limit_usd_


def bar(trial: Trial, rules: Probation, now_s: float) -> float:
    """Return the score that is enough to stop it, where 1.0 is usual."""
    return rules.bar if on_probation(trial, now_s) else 1.0


def breaches(usual: int, trial: Trial, rules: Probation, now_s: float) -> int:
    """Return how many breaches in a row stop it."""
    return min(usual, rules.breaches_max) if on_probation(trial, now_s) else usual


def kill_s(usual_s: float, trial: Trial, rules: Probation, now_s: float) -> float:
    """Return how long the next kill lasts: a repeat offender is out for longer each time."""
    return usual_s * rules.longer ** standing(trial, rules, now_s)
