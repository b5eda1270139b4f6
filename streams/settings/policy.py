"""When a score becomes an action, and how much may be done without a person."""

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from streams.settings.section import Count, NotNegative, Percent, Positive, Section

Mode = Literal["shadow", "armed"]


class Floors(Section):
    """What a scope must reach before anything stronger than a warning: dollars or tokens, and enough calls."""

    min_usd_per_min: NotNegative = 0.0002
    min_tokens_per_min: NotNegative = 100
    min_calls: Annotated[int, Field(ge=0)] = 1


class BlastRadius(Section):
    """The most that is killed within `window_s` without a person; beyond it, hold and page.

    The larger of `max_agents_percent` of the agents seen lately and `max_agents` counts.
    """

    max_agents_percent: Percent = 10.0
    max_agents: Count = 5
    max_usd: Positive | None = None
    """Spend stopped, in dollars by the agents' rate at the time over `window_s`; unlimited if unset."""
    window_s: Positive = 3_600.0


class Probation(Section):
    """What follows a release or an expiry: less room and a shorter fuse, before the scope is trusted again.

    Each time that a scope is stopped within `forgive_s` doubles its next kill and its next probation.
    """

    span_s: NotNegative = 1_800.0
    """How long; 0 trusts at once."""
    limits_percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Part of its limits that the scope may use."""
    bar_percent: Annotated[float, Field(gt=0, le=100)] = 70.0
    """Part of the usual score that is enough to stop it, at the first breach."""
    forgive_s: Positive = 86_400.0
    """A time that it was stopped is forgotten after this long without another."""


class FloorsOverride(Section):
    """Floors that differ; what isn't named stays."""

    min_usd_per_min: NotNegative | None = None
    min_tokens_per_min: NotNegative | None = None
    min_calls: Annotated[int, Field(ge=0)] | None = None


class Override(Section):
    """Other values for what the globs match; what isn't named stays, and a later override wins."""

    scope: str = "*"
    """Glob over `kind:id`, such as `agent:batch-*`."""
    team: str = "*"
    environment: str = "*"
    mode: Mode | None = None
    false_kills_per_1000_agent_days: Positive | None = None
    floors: FloorsOverride = FloorsOverride()
    consecutive_breaches: Count | None = None
    cooldown_s: NotNegative | None = None
    kill_duration_s: Positive | None = None

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if not self.model_fields_set & {"scope", "team", "environment"}:
            raise ValueError("say what it is for: scope, team or environment, each a glob")
        return self

    def matches(self, scope: str, team: str = "", environment: str = "") -> bool:
        """Tell whether all three globs match."""
        pairs = ((scope, self.scope), (team, self.team), (environment, self.environment))
        return all(fnmatchcase(text, glob) for text, glob in pairs)


class Policy(Section):
    """How sure, how often and how much, before a scope is stopped; and for how long."""

    false_kills_per_1000_agent_days: Positive = 1.0
    """The budget: how many wrong kills you accept."""
    floors: Floors = Floors()
    consecutive_breaches: Count = 1
    cooldown_s: NotNegative = 60.0
    """After a release, how long the scope is left alone, so that what was under way doesn't stop it again."""
    kill_duration_s: Positive = 3_600.0
    """A kill of a detector ends by itself after this."""
    suspicious: Literal["warn", "throttle", "hold"] = "warn"
    """What is done when a score is high, yet below the bar for a kill."""
    quiet_s: Positive = 1_800.0
    """An incident with no breach for this long is over; the next one is a new incident."""
    probation: Probation = Probation()
    blast_radius: BlastRadius = BlastRadius()
    overrides: tuple[Override, ...] = ()

    def applying_to(self, scope: str, team: str = "", environment: str = "") -> "Policy":
        """Return the policy in force for a scope, its overrides merged in."""
        merged = self
        for override in self.overrides:
            if override.matches(scope, team, environment):
                merged = _merged(merged, override)
        return merged

    def mode_of(self, default: Mode, scope: str, team: str = "", environment: str = "") -> Mode:
        """Return the mode in force for a scope; the last matching override that sets one wins."""
        mode = default
        for override in self.overrides:
            if override.mode is not None and override.matches(scope, team, environment):
                mode = override.mode
        return mode


def _merged(policy: Policy, override: Override) -> Policy:
    changes: dict[str, Any] = {
        name: getattr(override, name)
        for name in ("false_kills_per_1000_agent_days", "consecutive_breaches", "cooldown_s", "kill_duration_s")
        if getattr(override, name) is not None
    }
    floors = override.floors.model_dump(exclude_none=True)
    if floors:
        changes["floors"] = policy.floors.model_copy(update=floors)
    return policy.model_copy(update=changes)
