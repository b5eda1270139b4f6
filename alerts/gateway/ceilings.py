"""Hard ceilings in the gateway: a call reserves before it goes out and settles after. Pure: it is told the time.

The bound. For each limit, scope and period, over all gateways together,

    used <= limit * (sum of the gateways' shares) + sum over its calls of max(0, actual - estimate)

and the service keeps the shares' sum at 1 or below: it lowers one and sees that confirmed before it raises another.
A release begins its scope, and all below it, anew: the bound holds for the calls let through between two of them.
A call whose estimate is never too low (its `max_tokens` at the model's price) adds nothing. Usage belongs to the
period in which the call was let through; a call that is never settled stays counted at its estimate.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from .accounts import Above, Account, Caller, Entry, Over, Rule, Ticket, Use, too_deep
from .limits import Limit
from .plans import Plans
from .wire import GLOBAL

HOT = 0.5
PARDON = "depth"
"""Stands for the limit in a row of a run that a person has released."""
ROOM = 70
"""More scopes than a single call can have."""
CALLERS = 30
"""From so many above a run on, as when a whole fleet calls in one, they are looked up; before, a tuple is smaller."""
BACKLOG, LOOKS_A_CALL = 1_000, 16
"""Looks at old entries that may be put off, and how many a settlement makes up for."""

NAMED: Mapping[str, Mapping[str, float]] = {}
USUAL: Mapping[str, float] = {}
NOTHING: tuple[Account, ...] = ()


class Ceilings:
    """The accounts of one gateway, by scope; bounded: the oldest are the first to be forgotten.

    `usual` is the part of each limit that this gateway may use, but for those that `reshare` names.
    """

    def __init__(self, limits: Iterable[Limit] = (), usual: float = 1.0, accounts_max: int = 100_000) -> None:
        self.active = False
        """Whether there is any limit."""
        self._usual = usual
        self._named = NAMED
        self._limits: tuple[Limit, ...] = ()
        self._plans = Plans(())
        self._entries: dict[str, Entry] = {}
        # Of all entries, the one that was looked at longest ago first; a dict would be slow to give its first.
        self._turns: deque[str] = deque()
        self._looks_due = 0
        self._hot: dict[str, None] = {}
        self._scopes_max = accounts_max
        self.forgotten = 0
        """Scopes that were forgotten for want of room while their period still ran."""
        self.change(limits)

    def __len__(self) -> int:
        return len(self._entries)

    def change(self, limits: Iterable[Limit]) -> None:
        """Replace the limits; what is used of one that stays is kept, also by calls that are under way."""
        ordered = tuple(sorted(limits, key=lambda each: each.amount))
        if ordered == self._limits:
            return
        self._limits, self.active = ordered, bool(ordered)
        self._plans = Plans(ordered)
        for scope, entry in self._entries.items():
            kept = {account.rule.name: account for account in entry.accounts}
            self._entries[scope] = self._made(scope, entry.above, entry.pardoned_s, kept)
        self._share(None)

    def reshare(self, usual: float, named: Mapping[str, Mapping[str, float]], scopes: Iterable[str] | None) -> None:
        """Take in the usual share, and those of limits (scope -> name -> share) where they are others.

        `scopes` are those whose shares differ from before; None if any may. What was let through before stands.
        """
        self._usual, self._named = usual, named
        self._share(scopes)

    def _share(self, scopes: Iterable[str] | None) -> None:
        if scopes is None:
            scopes, self._hot = list(self._entries), {}
            for rule in self._plans.rules.values():
                rule.allowed = int(rule.limit.amount * self._usual)
        for scope in scopes:
            entry, shares = self._entries.get(scope), self._named.get(scope, USUAL)
            for account in () if entry is None else entry.accounts:
                account.allowed = _allowed(account.rule, shares)
                if account.used >= account.allowed * HOT:
                    self._hot[scope] = None

    def reserve(self, caller: Caller, estimate: Use, now_s: float) -> Ticket | Over:
        """Take the estimate from every account of the caller, or from none."""
        if self._looks_due > BACKLOG or len(self._entries) > self._scopes_max - ROOM:
            self._make_room(self._looks_due - BACKLOG, now_s)
        runs = caller.runs
        entries = self._find(caller)
        if runs and entries and entries[-1].depth is not None:
            over = too_deep(runs, entries[-1])
            if over is not None:
                return over
        each, accounts = estimate.each(), NOTHING
        for entry in entries:
            accounts += entry.accounts
        for account in accounts:
            if now_s >= account.ends_s:
                account.roll(now_s)
            used = account.used + each[account.index]
            if used > account.allowed:
                self._give_back(accounts, account, each)
                return Over(account.rule.limit, account.scope, account.used, account.allowed, each[account.index])
            account.used = used
            if used + used >= account.allowed:
                self._hot[account.scope] = None
        return Ticket(accounts, now_s, estimate)

    def _give_back(self, accounts: Iterable[Account], over: Account, each: tuple[int, int, int]) -> None:
        self._hot[over.scope] = None
        for account in accounts:
            if account is over:
                return
            account.used -= each[account.index]

    def settle(self, ticket: Ticket, actual: Use) -> None:
        """Replace the estimate with what the call really took; a second time changes nothing."""
        if not ticket.open:
            return
        ticket.open = False
        if self._looks_due:
            self._make_room(min(self._looks_due, LOOKS_A_CALL), ticket.at_s)
        took, thought, at_s = actual.each(), ticket.estimate.each(), ticket.at_s
        for account in ticket.accounts:
            if account.begun_s <= at_s:
                account.used += took[account.index] - thought[account.index]
                if account.used + account.used >= account.allowed:
                    self._hot[account.scope] = None

    def release(self, scope: str, at_s: float) -> None:
        """Begin the accounts of a scope and of all below it anew; calls under way count as what was before.

        A run that is released may be as deep as it is.
        """
        for each, entry in self._entries.items():
            if scope in (GLOBAL, each) or scope in entry.above:
                pardoned_s = at_s if each == scope else entry.pardoned_s
                self._entries[each] = self._made(each, entry.above, pardoned_s)
                self._hot.pop(each, None)

    def used(self, scope: str, limit: str, now_s: float) -> int:
        """Return what is used and reserved of a limit (by its name) in the present period."""
        entry = self._entries.get(scope)
        for account in () if entry is None else entry.accounts:
            if account.rule.name == limit and not account.is_over(now_s):
                return account.used
        return 0

    def report(self, now_s: float, *, whole: bool = False) -> dict[str, dict[str, float]]:
        """Return the part that is used of each limit of which this gateway has used half of its share, by scope.

        All of those that have used more than their share are among them; `whole` asks for every limit used.
        """
        found: dict[str, dict[str, float]] = {}
        for scope in list(self._entries if whole else self._hot):
            entry = self._entries.get(scope)
            hot = {
                a.rule.name: a.used / a.rule.limit.amount
                for a in (() if entry is None else entry.accounts)
                if a.used and (whole or a.used >= a.allowed * HOT) and not a.is_over(now_s) and a.rule.limit.amount
            }
            if hot:
                found[scope] = hot
            else:
                self._hot.pop(scope, None)
        return found

    def dump(self, now_s: float) -> list[tuple[str, str, float, int]]:
        """Return (scope, limit, when its period began, used) of each account, for `load` after a restart."""
        rows = [
            (scope, a.rule.name, now_s if a.rule.limit.per == "run" else a.begun_s, a.used)
            for scope, entry in self._entries.items()
            for a in entry.accounts
            if a.used and not a.is_over(now_s)
        ]
        pardons = [(scope, PARDON, each.pardoned_s, 0) for scope, each in self._entries.items() if each.pardoned_s]
        return rows + pardons

    def above(self, rows: Iterable[tuple[str, str, float, int]]) -> dict[str, tuple[str, ...]]:
        """Return what is above each scope of a dump: a release of one of those begins it anew."""
        return {row[0]: tuple(self._entries[row[0]].above) for row in rows}

    def load(self, rows: Iterable[tuple[str, str, float, int]], above: Mapping[str, tuple[str, ...]]) -> None:
        """Take in what was used before a restart; limits that are gone are ignored."""
        rules = self._plans.rules
        for scope, name, begun_s, used in rows:
            entry = self._entries.get(scope) or self._begin(scope.partition(":")[0], scope, above.get(scope, ()))
            if name == PARDON:
                entry.pardoned_s = begun_s
            if name not in rules:
                continue
            account = next((each for each in entry.accounts if each.rule.name == name), None)
            if account is None:
                account = _account(scope, rules[name], self._named.get(scope, USUAL))
                entry.accounts += (account,)
            account.roll(begun_s)
            account.used = used
        self._share(None)

    def _find(self, caller: Caller) -> list[Entry]:
        """Return what is counted of the team, the agent, all above the run, and the run, in that order."""
        entries, plans, agent, team = self._entries, self._plans, caller.agent, caller.team
        found = []
        if plans.of_owners:
            if team:
                found.append(owner := entries.get(team) or self._begin("team", team, ()))
                # The name of the entry, not of this call: it is kept once.
                team = owner.scope
            if agent:
                found.append(entries.get(agent) or self._begin("agent", agent, (team,)))
        if not plans.of_runs:
            return found
        for run in reversed(caller.runs):
            entry = entries.get(run)
            if entry is None:
                entry = self._begin("run", run, self._above(caller, found))
            elif agent not in entry.above or team not in entry.above:
                self._adopt(run, entry, agent, team)
            found.append(entry)
        return found

    def _above(self, caller: Caller, found: list[Entry]) -> tuple[str, ...]:
        scopes = tuple([each.scope for each in found])
        return (
            scopes if self._plans.of_owners and caller.agent and caller.team else (caller.agent, caller.team, *scopes)
        )

    def _begin(self, kind: str, scope: str, above: Above) -> Entry:
        plan, shares = self._plans.of(kind, scope, above), self._named.get(scope, USUAL)
        accounts = tuple([Account(scope, rule, rule.index, rule.allowed) for rule in plan.rules])
        for account in accounts if shares else ():
            account.allowed = _allowed(account.rule, shares)
        made = self._entries[scope] = Entry(scope, accounts, plan.depth, above)
        self._turns.append(scope)
        # Two old ones for each new one.
        self._looks_due += 2
        return made

    def _made(
        self, scope: str, above: Above, pardoned_s: float = 0.0, kept: Mapping[str, Account] | None = None
    ) -> Entry:
        plan, shares = self._plans.of(scope.partition(":")[0], scope, above), self._named.get(scope, USUAL)
        kept = kept or {}
        accounts = [_account(scope, rule, shares, kept.get(rule.name)) for rule in plan.rules]
        return Entry(scope, tuple(accounts), plan.depth, above, pardoned_s)

    def _adopt(self, run: str, entry: Entry, agent: str, team: str) -> None:
        """Have the limits hold for a run that another agent or team has for each of its runs."""
        if isinstance(entry.above, set):
            entry.above.update((agent, team))
        else:
            above = dict.fromkeys((agent, team, *entry.above))
            entry.above = set(above) if len(above) > CALLERS else tuple(above)
        if self._plans.owners_matter:
            kept = {account.rule.name: account for account in entry.accounts}
            made = self._made(run, entry.above, entry.pardoned_s, kept)
            entry.accounts, entry.depth = made.accounts, made.depth

    def _make_room(self, looks: int, now_s: float) -> None:
        """Look at so many entries: drop those that are over, give the others another round.

        Not while a call is being counted, which may have just found one of them. It is put off to where nobody waits
        for it, the settlements, unless there are too few of them.
        """
        self._looks_due -= max(looks, 0)
        while self._turns and (looks > 0 or len(self._entries) > self._scopes_max - ROOM):
            looks -= 1
            scope = self._turns.popleft()
            entry = self._entries[scope]
            is_over = entry.is_over(now_s)
            if is_over or len(self._entries) > self._scopes_max - ROOM:
                self.forgotten += bool(entry.accounts) and not is_over
                del self._entries[scope]
            else:
                self._turns.append(scope)


def _account(scope: str, rule: Rule, shares: Mapping[str, float], old: Account | None = None) -> Account:
    allowed = _allowed(rule, shares)
    if old is None:
        return Account(scope, rule, rule.index, allowed)
    # The same account, since calls under way will settle it.
    old.rule, old.allowed = rule, allowed
    return old


def _allowed(rule: Rule, shares: Mapping[str, float]) -> int:
    share = shares.get(rule.name) if shares else None
    return rule.allowed if share is None else int(rule.limit.amount * share)
