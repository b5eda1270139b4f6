"""Approval gates: which calls wait for a person."""

from typing import Annotated

from pydantic import Field, model_validator

from streams.settings.section import Positive, Section

Glob = Annotated[str, Field(min_length=1, max_length=200)]


class Gate(Section):
    """Holds each call to which all that is given applies until a person approves it: once, for its run, for a time."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    """Shown to callers and to whoever decides."""
    agents: tuple[Glob, ...] = ()
    """Globs over agents' names; without any, all agents."""
    teams: tuple[Glob, ...] = ()
    """Globs over teams' names; without any, all teams."""
    models: tuple[Glob, ...] = ()
    """Globs over models, such as `*opus*` or `o3*`; a router's prefix or a date in a name may be left out."""
    min_estimated_usd: Positive | None = None
    """Only calls that may cost so much: their input, and their max_tokens of output, at the model's price."""
    tools: tuple[Glob, ...] = ()
    """Globs over the tools that a call offers its model. Which of them it calls is known only after the answer."""
    min_output_usd_per_mtok: Positive | None = None
    """Only models that cost so much, in USD a million output tokens; without a known price it is the ceiling price."""
    approvers: tuple[Glob, ...] = ()
    """Globs over who may decide, such as `slack:U024BE7LH` or `page:*@example.com`, of those who may act at all."""
    open_s: Annotated[float, Field(ge=10, le=7 * 86_400)] = 3_600.0
    """How long a request stays open; after that the next call asks anew."""

    @model_validator(mode="after")
    def _holds_something(self) -> "Gate":
        told = (self.models, self.tools, self.min_estimated_usd, self.min_output_usd_per_mtok, self.agents, self.teams)
        if not any(told):
            raise ValueError(
                "a gate needs at least one of models, tools, min_estimated_usd, min_output_usd_per_mtok, agents, "
                "teams: to hold every call write models: ['*']"
            )
        for who in self.approvers:
            if not who.startswith(("slack:", "page:", "user:", "*")):
                raise ValueError(f"{who!r} is nobody; write slack:USER_ID, page:NAME or user:NAME, with globs")
        for name in (*self.agents, *self.teams):
            if name.startswith(("agent:", "team:", "run:")):
                raise ValueError(f"{name!r}: write the plain name, {name.partition(':')[2]!r}, without its kind")
        return self
