"""Which limits hold for a scope, and what all scopes with the same ones share; told the time.

Where a glob says the same of all agents, teams or runs, that is known beforehand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat

from msgspec import Struct

from .globs import matcher, says_of_all
from .limits import Limit

KINDS = ("agent", "team", "run")
PERIOD_S = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "run": float("inf")}
RUN_IDLE_S = 86_400.0
NEVER_S = float("-inf")
Above = tuple[str, ...] | dict[str, None]


class Rule(Struct, gc=False):
    """A limit as it is counted here."""

    limit: Limit
    name: str
    index: int
    """Where its measure stands in a `Use`; -1 for the depth, which is not used up."""
    matches: Callable[[str], bool]
    span_s: float
    of_runs: bool
    """Whether it has no period: a run's, which notes the day, to be forgotten after one of silence."""
    allowed: int = 0
    """The usual part of the amount."""


def rule_of(limit: Limit) -> Rule:
    """Return the rule of a limit."""
    index = {"micro_usd": 0, "tokens": 1, "steps": 2}.get(limit.measure, -1)
    of_runs = limit.per == "run"
    span_s = RUN_IDLE_S if of_runs else PERIOD_S[limit.per]
    return Rule(limit, limit.name, index, matcher(limit.scope), span_s, of_runs)


class Period(Struct, frozen=True, gc=False):
    """When the present period of each rule of a plan began and ends; a run's has no beginning."""

    begun_s: tuple[float, ...]
    ends_s: tuple[float, ...]
    since_s: float
    next_s: float
    """When to look again: the first end."""
    over_s: float
    """From when on nothing of it matters."""


def period_of(rules: Iterable[Rule], times_s: Iterable[float]) -> Period:
    """Return the period of each rule at its time; one of `NEVER_S` is still to begin."""
    pairs = list(zip(rules, times_s, strict=False))
    begun_s = [time_s if time_s == NEVER_S else time_s // rule.span_s * rule.span_s for rule, time_s in pairs]
    ends_s = [begun + rule.span_s for begun, (rule, _) in zip(begun_s, pairs, strict=True)]
    return Period(
        tuple([NEVER_S if rule.of_runs else begun for begun, (rule, _) in zip(begun_s, pairs, strict=True)]),
        tuple(ends_s),
        max(begun_s, default=NEVER_S),
        min(ends_s, default=float("inf")),
        # That nothing is counted is worth knowing while there is room.
        max((over_s(rule, end) for end, (rule, _) in zip(ends_s, pairs, strict=True)), default=float("inf")),
    )


def over_s(rule: Rule, end_s: float) -> float:
    """Return from when on what was counted in a period that ends then doesn't matter."""
    return end_s + RUN_IDLE_S if rule.of_runs else end_s


class Room(Struct, frozen=True, gc=False):
    """What this gateway may use of each rule of a plan, and half of that: from there on it is well used."""

    allowed: tuple[int, ...]
    places: tuple[tuple[int, int, int], ...]
    """Of each rule its place, its index, and half of what is allowed."""


def room_of(rules: Sequence[Rule], allowed: Sequence[int]) -> Room:
    """Return the room that is given by what is allowed."""
    rows = enumerate(zip(rules, allowed, strict=True))
    return Room(tuple(allowed), tuple([(place, rule.index, (most + 1) // 2) for place, (rule, most) in rows]))


def usual_room(rules: Sequence[Rule]) -> Room:
    """Return the room of whoever has no shares of its own."""
    return room_of(rules, [rule.allowed for rule in rules])


class Plan(Struct, gc=False):
    """What is counted of a scope, and the lowest limit of its depth; one for all scopes of which the same is."""

    rules: tuple[Rule, ...]
    depth: Rule | None
    room: Room
    """The usual one."""
    period: Period
    unused: list[int]
    """To be copied."""

    def at(self, now_s: float) -> Period:
        """Return the present periods."""
        if not self.period.since_s <= now_s < self.period.next_s:
            self.period = period_of(self.rules, repeat(now_s))
        return self.period

    def room_with(self, shares: Mapping[str, float] | None) -> Room:
        """Return the room of a scope that has shares of its own, by the limits' names; else the usual one."""
        if shares is None:
            return self.room
        parts = [(rule, shares.get(rule.name)) for rule in self.rules]
        allowed = [rule.allowed if part is None else int(rule.limit.amount * part) for rule, part in parts]
        return room_of(self.rules, allowed)


class Plans:
    """The rules of some limits, and the plan of every scope; `usual` is the part of them that may be used here."""

    def __init__(self, limits: Iterable[Limit], usual: float = 0.0) -> None:
        lowest: dict[str, Limit] = {}
        for each in sorted(limits, key=lambda each: each.amount):
            lowest.setdefault(each.name, each)
        rules = [rule_of(each) for each in reversed(lowest.values())]
        self.rules = {rule.name: rule for rule in rules}
        self.of_owners = [rule for rule in rules if rule.limit.per != "run"]
        self.of_runs = [rule for rule in rules if rule.limit.per == "run"]
        self.runs_max = min([rule.limit.amount + 1 for rule in rules if rule.index < 0], default=float("inf"))
        """The length of a chain of runs that is not too deep for any of them."""
        self.owners_matter = any(not rule.limit.scope.startswith("run:") for rule in self.of_runs)
        """Whether a run's limits depend on who calls in it."""
        self._made: dict[tuple[str, ...], Plan] = {}
        self.share(usual)
        self.fixed = {kind: plan for kind in KINDS if (plan := self._plan_of_all(kind)) is not None}
        """The plans of kinds whose scopes all have the same."""

    def share(self, usual: float) -> None:
        """Take in the part of each limit that may be used here."""
        for rule in self.rules.values():
            rule.allowed = int(rule.limit.amount * usual)
        for plan in self._made.values():
            plan.room = usual_room(plan.rules)

    def of(self, kind: str, scope: str, above: Above) -> Plan:
        """Return the plan of a scope; `above` are those that cover it."""
        fixed = self.fixed.get(kind)
        if fixed is not None:
            return fixed
        if kind != "run":
            return self._plan([rule for rule in self.of_owners if rule.matches(scope)])
        scopes = [scope, *(each for each in above if not each.startswith("run:"))]
        return self._plan([rule for rule in self.of_runs if any(map(rule.matches, scopes))])

    def joined(self, one: Plan, other: Plan) -> Plan:
        """Return what is counted by either, with the lower of their limits of depth."""
        if one is other:
            return one
        names = {rule.name for rule in (*one.rules, *other.rules)}
        depths = [plan.depth for plan in (one, other) if plan.depth is not None]
        lowest = min(depths, key=lambda rule: rule.limit.amount, default=None)
        if lowest is one.depth and len(names) == len(one.rules):
            return one
        return self._plan([rule for name, rule in self.rules.items() if name in names or rule is lowest])

    def with_rules(self, plan: Plan, names: Iterable[str]) -> Plan:
        """Return `plan` with these rules as well, as far as there are any of these names."""
        known = {rule.name for rule in plan.rules}
        wanted = {*known, *names} & {name for name, rule in self.rules.items() if rule.index >= 0}
        if wanted == known:
            return plan
        depth = [] if plan.depth is None else [plan.depth]
        return self._plan([*[rule for name, rule in self.rules.items() if name in wanted], *depth])

    def _plan_of_all(self, kind: str) -> Plan | None:
        if kind == "run" and self.owners_matter:
            return None
        rules = self.of_runs if kind == "run" else self.of_owners
        said = [says_of_all(rule.limit.scope, f"{kind}:") for rule in rules]
        if None in said:
            return None
        return self._plan([rule for rule, holds in zip(rules, said, strict=True) if holds])

    def _plan(self, rules: Sequence[Rule]) -> Plan:
        key = tuple([rule.name for rule in rules])
        plan = self._made.get(key)
        if plan is None:
            plan = self._made[key] = _plan(rules)
        return plan


def _plan(rules: Sequence[Rule]) -> Plan:
    depths = [rule for rule in rules if rule.index < 0]
    lowest = min(depths, key=lambda rule: rule.limit.amount, default=None)
    counted = tuple([rule for rule in rules if rule.index >= 0])
    return Plan(
        counted,
        lowest,
        usual_room(counted),
        period_of(counted, repeat(NEVER_S)),
        [0] * len(counted),
    )
