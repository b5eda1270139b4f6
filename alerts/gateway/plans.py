"""Which limits hold for a scope. Where a glob says the same of all agents, teams or runs, that is known beforehand."""

from collections.abc import Iterable

from msgspec import Struct

from .accounts import Above, Rule, rule_of
from .globs import says_of_all
from .limits import Limit

KINDS = ("agent", "team", "run")


class Plan(Struct, frozen=True, gc=False):
    """What is counted of a scope, and the lowest limit of its depth."""

    rules: tuple[Rule, ...] = ()
    depth: Rule | None = None


class Plans:
    """The rules of some limits, and the plan of every scope."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        lowest: dict[str, Limit] = {}
        for each in sorted(limits, key=lambda each: each.amount):
            lowest.setdefault(each.name, each)
        rules = [rule_of(each) for each in reversed(lowest.values())]
        self.rules = {rule.name: rule for rule in rules}
        self.of_owners = [rule for rule in rules if rule.limit.per != "run"]
        self.of_runs = [rule for rule in rules if rule.limit.per == "run"]
        self.owners_matter = any(not rule.limit.scope.startswith("run:") for rule in self.of_runs)
        """Whether a run's limits depend on who calls in it."""
        self._fixed = {kind: plan for kind in KINDS if (plan := self._plan_of_all(kind)) is not None}

    def of(self, kind: str, scope: str, above: Above) -> Plan:
        """Return the plan of a scope; `above` are those that cover it."""
        fixed = self._fixed.get(kind)
        if fixed is not None:
            return fixed
        if kind != "run":
            return _plan([rule for rule in self.of_owners if rule.matches(scope)])
        scopes = [scope, *(each for each in above if not each.startswith("run:"))]
        return _plan([rule for rule in self.of_runs if any(map(rule.matches, scopes))])

    def _plan_of_all(self, kind: str) -> Plan | None:
        if kind == "run" and self.owners_matter:
            return None
        rules = self.of_runs if kind == "run" else self.of_owners
        said = [says_of_all(rule.limit.scope, f"{kind}:") for rule in rules]
        if None in said:
            return None
        return _plan([rule for rule, holds in zip(rules, said, strict=True) if holds])


def _plan(rules: list[Rule]) -> Plan:
    depths = [rule for rule in rules if rule.index < 0]
    lowest = min(depths, key=lambda rule: rule.limit.amount, default=None)
    return Plan(tuple([rule for rule in rules if rule.index >= 0]), lowest)
