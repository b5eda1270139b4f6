"""PURE: what a setting means, in words, and whether more of it is tighter."""

from typing import Any, Literal

from msgspec import Struct

Effect = Literal["tighter", "looser", ""]


class Phrase(Struct, frozen=True):
    """A sentence with `{}` for the value; `more` says what a higher value is, `unit` how the value is written."""

    text: str
    more: Effect = ""
    unit: Literal["", "s", "usd", "count", "every"] = ""


PHRASES = {
    "mode": Phrase("runaways are {}"),
    "policy.false_kills_per_1000_agent_days": Phrase("wrong kills accepted a 1,000 agent-days: {}", "tighter"),
    "policy.floors.min_usd_per_min": Phrase("nothing is stopped below {} a minute", "looser", "usd"),
    "policy.floors.min_tokens_per_min": Phrase("nothing is stopped below {} tokens a minute", "looser", "count"),
    "policy.floors.min_calls": Phrase("nothing is stopped before {} calls", "looser", "count"),
    "policy.consecutive_breaches": Phrase("breaches in a row that make a kill: {}", "looser", "count"),
    "policy.cooldown_s": Phrase("after a release a scope is left alone for {}", "looser", "s"),
    "policy.kill_duration_s": Phrase("a detector's kill lasts {}", "tighter", "s"),
    "policy.suspicious": Phrase("done about what is suspicious, yet no case for a kill: {}"),
    "policy.quiet_s": Phrase("an incident without a breach is over after {}", "", "s"),
    "policy.probation.span_s": Phrase("after a release or an expiry a scope is on probation for {}", "tighter", "s"),
    "policy.probation.limits_percent": Phrase("on probation a scope may use {} % of its limits", "looser"),
    "policy.probation.bar_percent": Phrase("on probation {} % of the usual score stops a scope", "looser"),
    "policy.probation.forgive_s": Phrase("that a scope was stopped is forgotten after {}", "tighter", "s"),
    "policy.blast_radius.max_agents_percent": Phrase(
        "at most {} % of the agents are killed without a person", "tighter"
    ),
    "policy.blast_radius.max_agents": Phrase(
        "agents that may always be killed without a person: {}", "tighter", "count"
    ),
    "policy.blast_radius.max_usd": Phrase("at most {} of spend is stopped without a person", "tighter", "usd"),
    "policy.blast_radius.window_s": Phrase("the blast radius counts over {}", "looser", "s"),
    "notify.repeat_s.info": Phrase("what shadow mode only spoke of is told again {}", "", "every"),
    "notify.repeat_s.warning": Phrase("a warning that nobody acknowledged is told again {}", "", "every"),
    "notify.repeat_s.critical": Phrase("a critical incident that nobody acknowledged is told again {}", "", "every"),
    "notify.quiet_hours": Phrase("quiet hours: {}"),
}
LADDERS: dict[str, tuple[str, ...]] = {"mode": ("shadow", "armed"), "policy.suspicious": ("warn", "throttle", "hold")}
"""Values that are words, the tightest last."""
MODES = {"shadow": "only spoken of (shadow)", "armed": "stopped (armed)"}


def sentence(field: str, value: Any) -> str:
    """Say what a value of a field means.

    >>> sentence("policy.kill_duration_s", 5400.0)
    "a detector's kill lasts 1.5 h"
    """
    phrase = PHRASES.get(field)
    return f"{field} is {plain(value)}" if phrase is None else phrase.text.format(written(field, value))


def written(field: str, value: Any) -> str:
    """Write a field's value as a person would."""
    if field == "mode":
        return MODES[value]
    if field == "notify.quiet_hours":
        return "; ".join(map(str, value)) or "none"
    unit = PHRASES[field].unit if field in PHRASES else ""
    if value is None and unit == "usd":
        return "any amount"
    if value is None or isinstance(value, str | bool):
        return plain(value)
    if unit == "every":
        return f"every {span(value)}" if value else "never"
    return span(value) if unit == "s" else f"${value:,g}" if unit == "usd" else f"{value:,g}"


def effect(field: str, old: Any, new: Any) -> Effect:
    """Tell whether going from `old` to `new` stops more (tighter) or less (looser); "" where neither is sure.

    >>> effect("mode", "shadow", "armed"), effect("policy.floors.min_calls", 3, 1), effect("policy.quiet_s", 1, 2)
    ('tighter', 'tighter', '')
    """
    if field in LADDERS:
        ladder = LADDERS[field]
        return "tighter" if ladder.index(new) > ladder.index(old) else "looser"
    more = PHRASES[field].more if field in PHRASES else ""
    if not more:
        return ""
    # No bound at all is more than any.
    before, after = (float("inf") if value is None else float(value) for value in (old, new))
    return more if after > before else "looser" if more == "tighter" else "tighter"


def span(seconds: float) -> str:
    """Write a span of time in the largest unit that keeps it exact.

    >>> span(90.0), span(7200), span(5400), span(172800), span(1.5)
    ('1.5 min', '2 h', '1.5 h', '2 d', '1.5 s')
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and round(seconds / size, 2) * size == seconds:
            return f"{seconds / size:,g} {unit}"
    return f"{seconds:,g} s"


def plain(value: Any) -> str:
    """Write a value that has no phrase of its own."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return ", ".join(map(plain, value)) or "nothing"
    return str(value)
