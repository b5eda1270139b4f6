"""Hard ceilings in the gateway: a call reserves before it goes out and settles after. Pure: it is told the time.

The bound. For each limit, scope and period, over all gateways together,

    used <= limit * (sum of the gateways' shares) + sum over its calls of max(0, actual - estimate)

and the service keeps the shares' sum at 1 or below: it lowers one and sees that confirmed before it raises another.
A call whose estimate is never too low (its `max_tokens` at the model's price) adds nothing. Usage belongs to the
period in which the call was let through; a call that is never settled stays counted at its estimate.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from .accounts import Account, Caller, Over, Ticket, Use
from .limits import Limit
from .wire import GLOBAL

HOT = 0.5

ShareOf = Callable[[str, str], float]
"""(scope, limit's name) -> the part of the limit that this gateway may use."""


class Ceilings:
    """The accounts of one gateway, by scope; bounded: the oldest are the first to be forgotten.

    `share` says what part of a limit this gateway may use.
    """

    def __init__(
        self, limits: Iterable[Limit] = (), share: ShareOf = lambda _scope, _limit: 1.0, accounts_max: int = 100_000
    ) -> None:
        self._limits: tuple[Limit, ...] = ()
        self._share = share
        self._accounts: dict[str, list[Account]] = {}
        self._run_limits: dict[str, tuple[Limit, ...]] = {}
        self._above: dict[str, tuple[str, ...]] = {}
        self._hot: dict[str, None] = {}
        self._scopes_max = accounts_max
        self.forgotten = 0
        """Scopes that were forgotten for want of room while their period still ran."""
        self.change(limits)

    @property
    def active(self) -> bool:
        """Whether there is any limit."""
        return bool(self._limits)

    def change(self, limits: Iterable[Limit]) -> None:
        """Replace the limits; what is used of one that stays is kept."""
        ordered = tuple(sorted(limits, key=lambda each: each.amount))
        if ordered == self._limits:
            return
        rows = [(s, a.limit.name, a.period, a.used) for s, accounts in self._accounts.items() for a in accounts]
        self._limits = ordered
        self._accounts = {}
        self._run_limits = {}
        self.load(rows)

    def reshare(self) -> None:
        """Take in that the shares have changed. What was let through under the old ones stands."""
        self._hot = {}
        for scope, accounts in self._accounts.items():
            for account in accounts:
                account.allowed = int(account.limit.amount * self._share(scope, account.limit.name))
                if account.used >= account.allowed * HOT:
                    self._hot[scope] = None

    def reserve(self, caller: Caller, estimate: Use, now_s: float) -> Ticket | Over:
        """Take the estimate from every account of the caller, or from none."""
        taken = []
        for scope, account in self._find(caller, now_s):
            limit = account.limit
            period = account.roll(now_s)
            if limit.measure == "depth":
                wanted = used = len(caller.runs) - 1
                allowed = limit.amount
                passes = used <= allowed
            else:
                wanted = getattr(estimate, limit.measure)
                used, allowed = account.used, account.allowed
                passes = used + wanted <= allowed
                taken.append((account, period))
                if account.used + wanted >= allowed * HOT:
                    self._hot[scope] = None
            if not passes:
                return Over(limit, scope, used, allowed, wanted)
        for account, _ in taken:
            account.used += getattr(estimate, account.limit.measure)
        return Ticket(taken, estimate)

    def settle(self, ticket: Ticket, actual: Use) -> None:
        """Replace the estimate with what the call really took; a second time changes nothing."""
        if not ticket.open:
            return
        ticket.open = False
        for account, period in ticket.accounts:
            measure = account.limit.measure
            if account.period == period or account.limit.per == "run":
                account.used += getattr(actual, measure) - getattr(ticket.estimate, measure)

    def release(self, scope: str) -> None:
        """Begin the accounts of a scope and of all below it anew; calls under way count as what was before."""
        below = [each for each in self._accounts if scope in (each, *self._above.get(each, ()))]
        if scope == GLOBAL:
            below = list(self._accounts)
        for each in below:
            del self._accounts[each]
            self._hot.pop(each, None)

    def used(self, scope: str, limit: str, now_s: float) -> int:
        """Return what is used and reserved of a limit (by its name) in the present period."""
        for account in self._accounts.get(scope, ()):
            if account.limit.name == limit and not account.is_over(now_s):
                return account.used
        return 0

    def report(self, now_s: float, *, whole: bool = False) -> dict[str, dict[str, float]]:
        """Return the part that is used of each limit of which this gateway has used half of its share, by scope.

        All of those that have used more than their share are among them; `whole` asks for every limit used.
        """
        found: dict[str, dict[str, float]] = {}
        for scope in list(self._accounts if whole else self._hot):
            hot = {
                a.limit.name: a.used / a.limit.amount
                for a in self._accounts.get(scope, ())
                if a.used and (whole or a.used >= a.allowed * HOT) and not a.is_over(now_s) and a.limit.amount
            }
            if hot:
                found[scope] = hot
            else:
                self._hot.pop(scope, None)
        return found

    def dump(self, now_s: float) -> list[tuple[str, str, int, int]]:
        """Return (scope, limit, period, used) of each account, for `load` after a restart."""
        return [
            (scope, a.limit.name, a.period, a.used)
            for scope, accounts in self._accounts.items()
            for a in accounts
            if a.used and not a.is_over(now_s)
        ]

    def load(self, rows: Iterable[tuple[str, str, int, int]]) -> None:
        """Take in what was used before a restart; limits that are gone are ignored."""
        by_name = {limit.name: limit for limit in reversed(self._limits)}
        for scope, name, period, used in rows:
            if scope not in self._accounts:
                self._of(scope)
            if name in by_name:
                account = self._account(scope, by_name[name])
                account.period, account.used = period, used
        self.reshare()

    def _find(self, caller: Caller, now_s: float) -> Iterator[tuple[str, Account]]:
        of_owner: tuple[Limit, ...] = ()
        if caller.agent and caller.team:
            self._above[caller.agent] = (caller.team,)
        for owner in (caller.agent, caller.team):
            if owner:
                for account in self._known(owner, now_s):
                    yield owner, account
                of_owner += self._run_limits[owner] if owner in self._run_limits else self._learn(owner)
        for number, run in enumerate(caller.runs):
            if run not in self._above:
                self._above[run] = (caller.agent, caller.team, *caller.runs[number + 1 :])
            known = self._known(run, now_s)
            new = [limit for limit in of_owner if all(account.limit is not limit for account in known)]
            for account in (*known, *(self._account(run, limit) for limit in new)):
                yield run, account

    def _known(self, scope: str, now_s: float) -> list[Account]:
        known = self._accounts.get(scope)
        if known is not None:
            return known
        self._make_room(now_s)
        return self._of(scope)

    def _of(self, scope: str) -> list[Account]:
        is_run = scope.startswith("run:")
        mine = [each for each in self._limits if (each.per == "run") is is_run and fnmatchcase(scope, each.scope)]
        made = [Account(each, self._share(scope, each.name)) for each in _tightest(mine)]
        self._accounts[scope] = made
        return made

    def _account(self, scope: str, limit: Limit) -> Account:
        for account in self._accounts.setdefault(scope, []):
            if account.limit is limit:
                return account
        made = Account(limit, self._share(scope, limit.name))
        self._accounts[scope].append(made)
        return made

    def _learn(self, owner: str) -> tuple[Limit, ...]:
        found = [each for each in self._limits if each.per == "run" and fnmatchcase(owner, each.scope)]
        if len(self._run_limits) >= self._scopes_max:
            self._run_limits.clear()
        self._run_limits[owner] = tuple(_tightest(found))
        return self._run_limits[owner]

    def _make_room(self, now_s: float) -> None:
        """Look at the two oldest: drop those that are over, give the others another round."""
        for _ in range(2):
            scope = next(iter(self._accounts), None)
            if scope is None:
                return
            accounts = self._accounts.pop(scope)
            is_over = all(account.is_over(now_s) for account in accounts)
            if is_over or len(self._accounts) >= self._scopes_max:
                self.forgotten += not is_over
                self._above.pop(scope, None)
                continue
            self._accounts[scope] = accounts


def _tightest(limits: Sequence[Limit]) -> list[Limit]:
    """Return one limit of each name: the lowest comes first."""
    found: dict[str, Limit] = {}
    for each in limits:
        found.setdefault(each.name, each)
    return list(found.values())
