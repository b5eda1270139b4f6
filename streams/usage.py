"""What was used in one window, as it goes over the wire."""

from msgspec import Struct


class Usage(Struct, array_like=True, gc=False):
    """What was used in one window."""

    calls: int = 0
    tokens: int = 0
    micro_usd: int = 0

    def add(self, tokens: int, micro_usd: int) -> None:
        """Count one more call."""
        self.calls += 1
        self.tokens += tokens
        self.micro_usd += micro_usd

    def plus(self, other: "Usage") -> None:
        """Add other usage."""
        self.calls += other.calls
        self.tokens += other.tokens
        self.micro_usd += other.micro_usd

    def merge(self, other: "Usage") -> None:
        """Take the larger of each counter: repeats and disorder of cumulative counters change nothing."""
        self.calls = max(self.calls, other.calls)
        self.tokens = max(self.tokens, other.tokens)
        self.micro_usd = max(self.micro_usd, other.micro_usd)


class WindowUsage(Struct, frozen=True, array_like=True):
    """Cumulative usage of one agent in one window; merging by maximum makes repeats harmless.

    `window_s` is 60 for a minute, 3600 for what came too late for its minute.
    """

    agent: str
    start_s: int
    window_s: int
    usage: Usage


class TeamRecord(Struct, frozen=True, array_like=True):
    """One record of the internal teams topic, keyed by team; a team of "" only carries a shard's watermark."""

    team: str
    shard: str
    watermark_s: float
    usage: list[WindowUsage] = []
