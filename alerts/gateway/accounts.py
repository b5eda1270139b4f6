"""What a scope has used of a limit on one gateway, and what is reserved of it; told the time."""

from collections.abc import Sequence

from msgspec import Struct

from .limits import Limit

PERIOD_S = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "run": float("inf")}
RUN_IDLE_S = 86_400.0


class Use(Struct, frozen=True, gc=False):
    """What a call takes, or is thought to take."""

    micro_usd: int = 0
    tokens: int = 0
    steps: int = 1


class Account:
    """What one scope has used of one limit in the present period, on this gateway."""

    __slots__ = ("allowed", "limit", "period", "used")

    def __init__(self, limit: Limit, share: float) -> None:
        self.limit = limit
        self.allowed = int(limit.amount * share)
        self.period = -1
        self.used = 0

    def roll(self, now_s: float) -> int:
        """Begin the period of `now_s` if it is later than the present one; return the present one."""
        # A run has no period: its account notes the day, to be forgotten when it has been silent for one.
        period = int(now_s // (RUN_IDLE_S if self.limit.per == "run" else PERIOD_S[self.limit.per]))
        if period > self.period:
            if self.limit.per != "run":
                self.used = 0
            self.period = period
        return self.period

    def is_over(self, now_s: float) -> bool:
        """Whether nothing in it matters any more."""
        if self.limit.per == "run":
            return int(now_s // RUN_IDLE_S) > self.period + 1
        return int(now_s // PERIOD_S[self.limit.per]) > self.period


class Ticket:
    """A reservation, to be settled once; what isn't settled stays counted."""

    __slots__ = ("accounts", "estimate", "open")

    def __init__(self, accounts: Sequence[tuple[Account, int]], estimate: Use) -> None:
        self.accounts = accounts
        self.estimate = estimate
        self.open = True


class Over(Struct, frozen=True):
    """Why a call may not go out: which limit of which scope, what is used here, and what this gateway may use."""

    limit: Limit
    scope: str
    used: int
    allowed: int
    wanted: int


class Caller(Struct, frozen=True, gc=False):
    """Whose accounts a call is taken from: its agent and team as scopes ("" for none), its run and all above it."""

    agent: str = ""
    team: str = ""
    runs: tuple[str, ...] = ()


def over_text(over: Over) -> str:
    """Say in words which limit a call would pass."""
    limit = over.limit
    if limit.measure == "depth":
        return f"{over.scope} is {over.wanted} levels below its root, the limit is {limit.amount}"
    per = "" if limit.per == "run" else f" a {limit.per}"
    share = over.allowed / limit.amount if limit.amount else 1.0
    of = "" if share >= 1 else f", this gateway's share is {share:.0%}"
    return (
        f"{over.scope} has {_amount(limit, limit.amount)}{per}{of}; {_amount(limit, over.used)} used or reserved, "
        f"this call may take {_amount(limit, over.wanted)}"
    )


def _amount(limit: Limit, amount: int) -> str:
    return f"${amount / 1e6:,.4g}" if limit.measure == "micro_usd" else f"{amount:,} {limit.measure}"


def until_s(limit: Limit, now_s: float) -> float | None:
    """Return when the present period of a limit ends (Unix seconds); None if it has none."""
    if limit.per == "run":
        return None
    return (now_s // PERIOD_S[limit.per] + 1) * PERIOD_S[limit.per]
