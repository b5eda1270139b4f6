"""What a scope has used of its limits on one gateway, and what is reserved of them; told the time."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from .limits import Limit
from .plans import NEVER_S, PERIOD_S, RUN_IDLE_S, Above, Period, Plan, Room, Rule, over_s, period_of


class Use(Struct, frozen=True, gc=False):
    """What a call takes, or is thought to take; in the order of `Rule.index`."""

    micro_usd: int = 0
    tokens: int = 0
    steps: int = 1


class Entry(Struct, gc=False):
    """What is counted of one scope. `above` are the scopes that cover it: of a run also whoever has called in it.

    A team is above itself: its agents hold just what it holds.
    """

    scope: str
    plan: Plan
    used: list[int]
    """By the plan's rules, as all that is of them."""
    room: Room
    period: Period
    above: Above
    pardoned_s: float = 0.0
    """When a person released the run: it may be as deep as it is."""
    born: tuple[int, ...] = ()
    """In which version of the plans each rule came to hold; none if all did at once."""

    def roll(self, now_s: float) -> None:
        """Begin the periods of `now_s`, which is later than one of the present ones."""
        period = self.plan.at(now_s)
        for place, (old_s, new_s) in enumerate(zip(self.period.begun_s, period.begun_s, strict=True)):
            if old_s != new_s:
                self.used[place] = 0
        self.period = period

    def anew(self, pardoned_s: float) -> "Entry":
        """Return one of which nothing is used; calls under way settle with this one."""
        return Entry(self.scope, self.plan, [0] * len(self.used), self.room, self.period, self.above, pardoned_s)

    def is_over(self, now_s: float) -> bool:
        """Whether nothing in it matters any more."""
        if self.period.over_s == NEVER_S:
            # No call has passed yet; whoever is refused may be released, and is to be known then.
            self.roll(now_s)
        over = now_s >= self.period.over_s
        return over and (not self.pardoned_s or now_s >= self.pardoned_s + 2 * RUN_IDLE_S)

    def counted(self, now_s: float, *, hot: bool = False) -> Iterator[tuple[Rule, int]]:
        """Yield each rule of which something is used that still matters, and how much; `hot`: if it is half or more."""
        for rule, used, (*_, warm), end_s in zip(
            self.plan.rules, self.used, self.room.places, self.period.ends_s, strict=True
        ):
            if used and (used >= warm or not hot) and now_s < over_s(rule, end_s):
                yield rule, used

    def begun_s(self, rule: Rule) -> float:
        """Return when the present period of one of its rules began."""
        return self.period.begun_s[self.plan.rules.index(rule)]

    def times_s(self) -> list[float]:
        """Return for each rule a time within its present period."""
        return [end_s - 1 for end_s in self.period.ends_s]

    def change(self, plan: Plan, version: int) -> None:
        """Take in another plan: what is used of a rule that stays is kept, also by calls that are under way."""
        old = {rule.name: place for place, rule in enumerate(self.plan.rules)}
        kept = [old.get(rule.name) for rule in plan.rules]
        if kept != list(range(len(old))):
            times_s = self.times_s()
            born = [version if place is None else self.born[place] if self.born else 0 for place in kept]
            self.born = tuple(born) if any(born) else ()
            self.used = [0 if place is None else self.used[place] for place in kept]
            self.period = period_of(plan.rules, [NEVER_S if place is None else times_s[place] for place in kept])
        self.plan = plan

    def load(self, rows: Mapping[str, tuple[float, int]]) -> None:
        """Take in (a time within its period, what is used then) of limits by name."""
        times_s = self.times_s()
        for place, rule in enumerate(self.plan.rules):
            if rule.name in rows:
                times_s[place], self.used[place] = rows[rule.name]
        self.period = period_of(self.plan.rules, times_s)

    def places_of(self, version: int) -> Iterable[tuple[int, int, int]]:
        """Return `room.places` of the rules that held in a version of the plans."""
        return [each for each in self.room.places if self.born[each[0]] <= version]

    @property
    def is_hot(self) -> bool:
        """Whether half of what is allowed is used of any of its rules."""
        return any(self.used[place] >= warm for place, _, warm in self.room.places)


class Ticket(Struct, gc=False):
    """A reservation, to be settled once; what isn't settled stays counted until its period ends, or its run does."""

    entries: list[Entry]
    at_s: float
    estimate: Use
    version: int = 0
    """Of the plans when it was made."""
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
    is_claimed: bool = False
    """Whether nobody has authenticated agent and team."""


def too_deep(runs: tuple[str, ...], entry: Entry) -> Over | None:
    """Say whether the run is too far below its root. Calls in runs below it have their own."""
    if entry.plan.depth is None:
        return None
    depth, limit = len(runs) - 1, entry.plan.depth.limit
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
