"""The service itself, hard limits and prices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streams.settings.section import Count, FilePath, NotNegative, Positive, Section


class Service(Section):
    """The running process: its name in the consumer group, its files, its web address."""

    app_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "brakeline"
    """Consumer group and prefix of internal topics; changing it forgets all state."""
    data_dir: FilePath = Path("brakeline-data")
    web_host: str = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    instance_id: str | None = None
    """Unique and stable for a worker, such as a pod's name, so that a restart keeps its partitions; else the host's."""
    watchdog_s: Positive = 60.0
    """With work waiting and no progress for this long, the process ends to be restarted."""
    agents_max: Annotated[int, Field(ge=1_000, le=100_000_000)] = 1_000_000
    """Agents known at once, over all partitions: a million take about 2 GB. Further ones are counted, not judged."""


class Limit(Section):
    """A hard ceiling for each scope that the glob matches."""

    scope: str
    """Glob over `kind:id`: `agent:*`, `team:research`, `run:*`."""
    usd: Positive | None = None
    tokens: Count | None = None
    per: Literal["minute", "hour", "day", "run"] | None = None
    """What `usd` and `tokens` are counted over."""
    steps: Count | None = None
    """Calls of one run."""
    depth: Annotated[int, Field(ge=1, le=63)] | None = None
    """Runs within runs."""

    @model_validator(mode="after")
    def _measures_something(self) -> "Limit":
        if self.usd is None and self.tokens is None and self.steps is None and self.depth is None:
            raise ValueError("a limit needs at least one of usd, tokens, steps, depth")
        if (self.usd is not None or self.tokens is not None) and self.per is None:
            raise ValueError("usd and tokens need per: minute, hour, day or run")
        if self.per is not None and self.usd is None and self.tokens is None:
            raise ValueError("per goes with usd or tokens; steps and depth are of one run")
        kind, colon, _ = self.scope.partition(":")
        if not colon or kind not in {"agent", "team", "run", "*"}:
            raise ValueError(f"{self.scope!r} is no scope; write kind:id with a glob, such as agent:* or team:research")
        if kind == "run" and self.per not in {None, "run"}:
            raise ValueError(f"usd and tokens of a run need per: run, not per: {self.per}; or name the agent")
        return self


class Price(Section):
    """What a model costs, in US dollars per million tokens."""

    input_usd_per_mtok: NotNegative
    output_usd_per_mtok: NotNegative
    cached_usd_per_mtok: NotNegative | None = None
    """Input that was read from a cache; without it the input price."""


class Prices(Section):
    """Prices that differ from the built-in list, and the one for models that nobody knows."""

    models: Mapping[str, Price] = Field(default_factory=dict)
    unknown: Price = Price(input_usd_per_mtok=15.0, output_usd_per_mtok=75.0, cached_usd_per_mtok=1.5)


class Logs(Section):
    """What is logged and how; `auto` is text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
