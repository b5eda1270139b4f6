"""What a scope has used of a limit on one gateway, and what is reserved of it; told the time."""

from collections.abc import Callable

from msgspec import Struct

from .globs import matcher
from .limits import Limit

PERIOD_S = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "run": float("inf")}
RUN_IDLE_S = 86_400.0
NEVER_S = float("-inf")
Above = tuple[str, ...] | set[str]


class Use(Struct, frozen=True, gc=False):
    """What a call takes, or is thought to take."""

    micro_usd: int = 0
    tokens: int = 0
    steps: int = 1

    def each(self) -> tuple[int, int, int]:
        """Return what it takes by `Rule.index`."""
        return self.micro_usd, self.tokens, self.steps


class Rule(Struct, gc=False):
    """A limit as it is counted here, and what its accounts share: the period, and the usual part of the amount."""

    limit: Limit
    name: str
    index: int
    """Where its measure stands in `Use.each`; -1 for the depth, which is not used up."""
    matches: Callable[[str], bool]
    allowed: int = 0
    begun_s: float = NEVER_S
    ends_s: float = NEVER_S

    def roll(self, now_s: float) -> None:
        """Begin the period of `now_s`; a run has none, and notes the day, to be forgotten after one of silence."""
        span_s = RUN_IDLE_S if self.limit.per == "run" else PERIOD_S[self.limit.per]
        self.begun_s = now_s // span_s * span_s
        self.ends_s = self.begun_s + span_s


def rule_of(limit: Limit) -> Rule:
    """Return the rule of a limit."""
    index = {"micro_usd": 0, "tokens": 1, "steps": 2}.get(limit.measure, -1)
    return Rule(limit, limit.name, index, matcher(limit.scope))


class Account(Struct, gc=False):
    """What one scope has used of one limit in the present period, on this gateway."""

    scope: str
    rule: Rule
    index: int
    allowed: int
    """What this gateway may use."""
    used: int = 0
    begun_s: float = NEVER_S
    ends_s: float = NEVER_S
    """When to look again: the period's end."""

    def roll(self, now_s: float) -> None:
        """Begin the period of `now_s`, which is later than the present one."""
        rule = self.rule
        if not rule.begun_s <= now_s < rule.ends_s:
            rule.roll(now_s)
        self.ends_s = rule.ends_s
        if rule.limit.per != "run":
            self.used, self.begun_s = 0, rule.begun_s

    def is_over(self, now_s: float) -> bool:
        """Whether nothing in it matters any more."""
        return now_s >= (self.ends_s + RUN_IDLE_S if self.rule.limit.per == "run" else self.ends_s)


class Entry(Struct, gc=False):
    """What is counted of one scope. `above` are the scopes that cover it: of a run also whoever has called in it."""

    scope: str
    accounts: tuple[Account, ...]
    depth: Rule | None
    above: Above
    pardoned_s: float = 0.0
    """When a person released the run: it may be as deep as it is."""

    def is_over(self, now_s: float) -> bool:
        """Whether nothing in it matters any more. That nothing is counted is worth knowing while there is room."""
        for account in self.accounts:
            if account.ends_s == NEVER_S:
                # No call has passed yet; whoever is refused may be released, and is to be known then.
                account.roll(now_s)
            if not account.is_over(now_s):
                return False
        return bool(self.accounts) and (not self.pardoned_s or now_s >= self.pardoned_s + 2 * RUN_IDLE_S)


class Ticket(Struct, gc=False):
    """A reservation, to be settled once; what isn't settled stays counted until its period ends, or its run does."""

    accounts: tuple[Account, ...]
    at_s: float
    estimate: Use
    open: bool = True


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


def too_deep(runs: tuple[str, ...], entry: Entry) -> Over | None:
    """Say whether the run is too far below its root. Calls in runs below it have their own."""
    assert entry.depth is not None
    depth, limit = len(runs) - 1, entry.depth.limit
    if depth <= limit.amount or entry.pardoned_s:
        return None
    return Over(limit, runs[0], depth, limit.amount, depth)


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
