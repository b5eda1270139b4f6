"""A decision: what shall happen to a scope, and why, in words."""

from enum import StrEnum
from hashlib import blake2b

from msgspec import Struct

from alerts.gateway.asking import Asked, Use

OBEDIENCE = "obedience"
"""What speaks when a kill is not obeyed, and the kind of scope that its incidents are about."""


class Action(StrEnum):
    """The ladder, mildest first; `release` takes any of them back."""

    OBSERVE = "observe"
    WARN = "warn"
    THROTTLE = "throttle"
    DOWNGRADE = "downgrade"
    HOLD = "hold"
    KILL = "kill"
    RELEASE = "release"


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The numbers that a person wants to see beside a decision."""

    team: str = ""
    agent: str = ""
    run: str = ""
    model: str = ""
    seen_usd_per_min: float = 0.0
    usual_usd_per_min: float = 0.0
    spend_usd: float = 0.0
    """Spent by the scope, an agent or a run, since `since_s` (Unix seconds)."""
    since_s: float = 0.0
    calls: int = 0
    says: dict[str, float] = {}
    """Each detector's score at the time, by name."""
    estimate_usd: float = 0.0
    """What a call that waits for approval may cost."""
    tools: tuple[str, ...] = ()
    """What such a call offers its model."""
    approvers: tuple[str, ...] = ()
    """Globs over those who may approve it; anybody who may act if there is none."""


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `brakeline.decisions`.

    `actor` is "detector" or a person ("user:alice", "slack:U123"). `window_start_s` names the incident's
    window; `releases_seq` is the command that a release takes back (refused when it is no longer in force).
    `asked` belongs to a request for approval, `use` to its approval.
    """

    at_s: float
    scope: str
    action: Action
    reason: str
    incident_id: str
    detector: str = ""
    score: float = 0.0
    shadow: bool = False
    actor: str = "detector"
    window_start_s: float = 0.0
    expires_s: float | None = None
    releases_seq: int | None = None
    probation_s: float = 0.0
    """How long the scope will be watched more closely once it is released or its time is over."""
    planned: bool = False
    """Of a release: what the scope did was meant, so it is trusted at once."""
    evidence: Evidence = Evidence()
    asked: Asked | None = None
    use: Use | None = None


def incident_id(scope: str, detector: str, window_start_s: float) -> str:
    """Name an incident by what it is about, so that a replay names it alike.

    >>> incident_id("agent:a", "surge", 60.0) == incident_id("agent:a", "surge", 60.0)
    True
    """
    text = f"{scope}\n{detector}\n{window_start_s:.3f}"
    return blake2b(text.encode(), digest_size=8).hexdigest()
