"""Hard ceilings in the gateway: a call reserves before it goes out and settles after. Pure: it is told the time.

The bound. For each ceiling and period, over all gateways together,

    used <= limit + sum over its calls of max(0, actual - estimate)

as long as the gateways' shares sum up to 1 at most; a call whose estimate is never too low (its `max_tokens` at
the model's price) adds nothing. Usage belongs to the period in which the call was let through.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

PERIOD_S = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "run": float("inf")}


class Ceiling(Struct, frozen=True):
    """At most `limit` of a measure (micro-dollars, tokens or steps) for one scope in each period, over all gateways."""

    scope: str
    measure: Literal["micro_usd", "tokens", "steps"]
    per: Literal["minute", "hour", "day", "run"]
    limit: int


class Use(Struct, frozen=True):
    """What a call takes, or is thought to take."""

    micro_usd: int = 0
    tokens: int = 0
    steps: int = 1


class Ticket(Struct, frozen=True):
    """A reservation, to be settled exactly once."""

    number: int
    accounts: tuple[tuple[Ceiling, int], ...]
    estimate: Use


class Over(Struct, frozen=True):
    """Why a call may not go out."""

    ceiling: Ceiling
    used: int
    left: int


class Ceilings:
    """The accounts of one gateway. It may use `share` of each limit."""

    def __init__(self, ceilings: Sequence[Ceiling] = (), share: float = 1.0) -> None:
        self._by_scope: dict[str, list[Ceiling]] = {}
        for each in ceilings:
            self._by_scope.setdefault(each.scope, []).append(each)
        self._share = share
        self._used: dict[tuple[Ceiling, int], int] = {}
        self._open: set[int] = set()
        self._number = 0

    def reshare(self, share: float) -> None:
        """Change the share; what was let through under the old one stands, so lower one before raising another."""
        self._share = share

    def used(self, ceiling: Ceiling, now_s: float) -> int:
        """Return what is used and reserved in the present period: what a gateway reports."""
        return self._used.get((ceiling, _period(ceiling, now_s)), 0)

    def reserve(self, scopes: Sequence[str], estimate: Use, now_s: float) -> Ticket | Over:
        """Take the estimate from every ceiling of these scopes, or from none."""
        accounts = [(each, _period(each, now_s)) for scope in scopes for each in self._by_scope.get(scope, ())]
        for account in accounts:
            ceiling, used = account[0], self._used.get(account, 0)
            allowed = int(ceiling.limit * self._share)
            if used + getattr(estimate, ceiling.measure) > allowed:
                return Over(ceiling, used, max(0, allowed - used))
        self._number += 1
        self._open.add(self._number)
        self._add(accounts, estimate, 1)
        return Ticket(self._number, tuple(accounts), estimate)

    def settle(self, ticket: Ticket, actual: Use) -> None:
        """Replace the estimate with what the call really took; a second time changes nothing."""
        if ticket.number not in self._open:
            return
        self._open.remove(ticket.number)
        self._add(ticket.accounts, ticket.estimate, -1)
        self._add(ticket.accounts, actual, 1)

    def forget(self, now_s: float) -> None:
        """Drop the accounts of periods that are over, but those of runs: the caller says when one has ended."""
        self._used = {key: used for key, used in self._used.items() if key[1] == _period(key[0], now_s)}

    def end_run(self, scope: str) -> None:
        """Drop the accounts of a run."""
        self._used = {key: used for key, used in self._used.items() if key[0].scope != scope}

    def _add(self, accounts: Sequence[tuple[Ceiling, int]], use: Use, sign: int) -> None:
        for account in accounts:
            self._used[account] = self._used.get(account, 0) + sign * int(getattr(use, account[0].measure))


def _period(ceiling: Ceiling, now_s: float) -> int:
    return int(now_s // PERIOD_S[ceiling.per]) if ceiling.per != "run" else 0


def shares(reported: Sequence[float], floor: float = 0.05) -> list[float]:
    """Split a limit among gateways by what each has used lately; nobody gets less than `floor` of an equal part.

    >>> [round(each, 3) for each in shares([3.0, 1.0, 0.0])]
    [0.729, 0.254, 0.017]
    """
    if not reported:
        return []
    least = floor / len(reported)
    total = sum(reported)
    if total <= 0:
        return [1 / len(reported)] * len(reported)
    return [least + (1 - floor) * (each / total) for each in reported]
