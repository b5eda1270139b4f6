"""PURE: what follows a release or an expiry: less room and a shorter fuse, until the scope is trusted again."""

from dataclasses import fields
from dataclasses import replace as changed
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from detectors.ceiling import Ceiling, CeilingMemory, RunCeiling
from detectors.contract import CALM, Score

Limits = TypeVar("Limits", Ceiling, RunCeiling)


class Probation(Struct, frozen=True, kw_only=True):
    """How a scope earns its trust back."""

    span_s: float = 1_800.0
    share: float = 0.1
    """Part of its limits that a scope on probation may use."""
    bar: float = 0.7
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


class Leash(Struct, array_like=True):
    """What a scope on probation has used since it began."""

    calls: int = 0
    micro_usd: int = 0
    tokens: int = 0
    windows: CeilingMemory = field(default_factory=CeilingMemory)


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


def bar(trial: Trial, rules: Probation, now_s: float) -> float:
    """Return the score that is enough to stop it, where 1.0 is usual."""
    return rules.bar if on_probation(trial, now_s) else 1.0


def breaches(usual: int, trial: Trial, rules: Probation, now_s: float) -> int:
    """Return how many breaches in a row stop it."""
    return min(usual, rules.breaches_max) if on_probation(trial, now_s) else usual


def kill_s(usual_s: float, trial: Trial, rules: Probation, now_s: float) -> float:
    """Return how long the next kill lasts: a repeat offender is out for longer each time."""
    return usual_s * rules.longer ** standing(trial, rules, now_s)


def probation_s(trial: Trial, rules: Probation, now_s: float) -> float:
    """Return how long the probation will be that follows, were the scope freed at `now_s`."""
    return freed(trial, rules, now_s).until_s - now_s


def scaled(limits: Limits, share: float) -> Limits:
    """Return a part of each limit that is set; depth stays, as a run within a run is one or none.

    >>> scaled(Ceiling(usd_per_hour=50.0, tokens_per_day=9), 0.1)
    Ceiling(usd_per_minute=None, usd_per_hour=5.0, usd_per_day=None, tokens_per_minute=None, tokens_per_hour=None, \
tokens_per_day=1)
    """
    parts = {}
    for each in fields(limits):
        value = getattr(limits, each.name)
        if value is not None and each.name != "depth":
            parts[each.name] = max(1, int(value * share)) if isinstance(value, int) else value * share
    return changed(limits, **parts)


def used(
    leash: Leash, ceiling: Ceiling, run: RunCeiling, rules: Probation, now_s: float, tokens: int, micro_usd: int
) -> Score:
    """Count a call (or a team's minute) on probation, and compare with the part of its limits that it may use."""
    leash.calls += 1
    leash.micro_usd += micro_usd
    leash.tokens += tokens
    found = scaled(ceiling, rules.share).add(leash.windows, now_s, tokens, micro_usd) if ceiling.active else CALM
    limits = scaled(run, rules.share)
    checks = (
        (leash.calls, limits.steps, "steps"),
        (leash.micro_usd / 1e6, limits.usd, "dollars"),
        (leash.tokens, limits.tokens, "tokens"),
    )
    for seen, limit, what in checks:
        if limit is not None and seen > limit:
            found = Score(2.0, f"{seen:,.6g} {what} since it was let go, over {limit:,.6g}", "run")
    if found is CALM:
        return CALM
    return Score(found.value, f"{found.reason}: on probation it has {rules.share:.0%} of its limits", found.blame)
