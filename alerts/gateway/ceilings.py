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

from .accounts import Caller, Entry, Over, Ticket, Use, too_deep
from .limits import Limit
from .plans import NEVER_S, Above, Plans
from .wire import GLOBAL

PARDON = "depth"
"""Stands for the limit in a row of a run that a person has released."""
ROOM = 70
"""More scopes than a single call can have."""
CALLERS_MAX = 1_000
"""Of a run, whose release begins it anew."""
SPARED_MAX = 100
SET_BACK_S = 300.0
"""By so much a clock is set back; less is made up for by waiting."""
BACKLOG, LOOKS_A_CALL = 1_000, 16
"""Looks at old entries that may be put off, and how many a settlement makes up for."""


class Ceilings:
    """The accounts of one gateway, by scope; bounded: the oldest are the first to be forgotten.

    `usual` is the part of each limit that this gateway may use, but for those that `reshare` names.
    """

    def __init__(self, limits: Iterable[Limit] = (), usual: float = 1.0, accounts_max: int = 100_000) -> None:
        self.active = False
        """Whether there is any limit."""
        self._usual = usual
        self._named: Mapping[str, Mapping[str, float]] = {}
        self._limits: tuple[Limit, ...] = ()
        self._plans = Plans(())
        # How often what holds for a scope has changed, to tell which rules a call under way was held against.
        self._version = 0
        self._entries: dict[str, Entry] = {}
        # Of all entries, the one that was looked at longest ago first; a dict would be slow to give its first.
        self._turns: deque[str] = deque()
        self._looks_due = 0
        self._latest_s = NEVER_S
        self._hot: dict[str, None] = {}
        # Of owners that nobody has authenticated.
        self._claimed: set[str] = set()
        self._scopes_max = accounts_max - ROOM
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
        self._plans = Plans(ordered, self._usual)
        self._version += 1
        for scope, entry in self._entries.items():
            entry.change(self._plans.of(scope.partition(":")[0], scope, entry.above), self._version)
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
            self._plans.share(self._usual)
        for scope in scopes:
            entry = self._entries.get(scope)
            if entry is None:
                continue
            entry.room = entry.plan.room_with(self._named.get(scope))
            if entry.is_hot:
                self._hot[scope] = None

    def reserve(self, caller: Caller, estimate: Use, now_s: float) -> Ticket | Over:
        """Take the estimate from every account of the caller, or from none."""
        if self._looks_due > BACKLOG or len(self._entries) > self._scopes_max:
            self._make_room(self._looks_due - BACKLOG, now_s)
        if now_s >= self._latest_s:
            self._latest_s = now_s
        elif self._latest_s - now_s > SET_BACK_S:
            self._set_back(now_s)
        entries = self._find(caller, now_s)
        if len(caller.runs) > self._plans.runs_max and (over := too_deep(caller.runs, entries[-1])):
            return over
        each = (estimate.micro_usd, estimate.tokens, estimate.steps)
        for entry in entries:
            if now_s >= entry.period.next_s:
                entry.roll(now_s)
            used = entry.used
            for place, index, warm in entry.room.places:
                wanted = used[place] + each[index]
                if wanted >= warm:
                    if wanted > entry.room.allowed[place]:
                        return self._give_back(entries, entry, place, each)
                    self._hot[entry.scope] = None
                used[place] = wanted
        return Ticket(entries, now_s, estimate, self._version)

    def _set_back(self, now_s: float) -> None:
        """Count on in the present periods: an hour's limit is none of a day because the clock was a day ahead."""
        self._latest_s = now_s
        for entry in self._entries.values():
            if entry.period.since_s > now_s:
                entry.period = entry.plan.at(now_s)

    def _give_back(self, entries: Iterable[Entry], over: Entry, at: int, each: tuple[int, int, int]) -> Over:
        self._hot[over.scope] = None
        for entry in entries:
            for place, index, _ in entry.room.places:
                if entry is over and place == at:
                    limit = over.plan.rules[at].limit
                    return Over(limit, over.scope, over.used[at], over.room.allowed[at], each[index])
                entry.used[place] -= each[index]
        raise AssertionError(over.scope)

    def settle(self, ticket: Ticket, actual: Use) -> None:
        """Replace the estimate with what the call really took; a second time changes nothing."""
        if not ticket.open:
            return
        ticket.open = False
        at_s, thought = ticket.at_s, ticket.estimate
        if self._looks_due:
            self._make_room(min(self._looks_due, LOOKS_A_CALL), at_s)
        more = (actual.micro_usd - thought.micro_usd, actual.tokens - thought.tokens, actual.steps - thought.steps)
        for entry in ticket.entries:
            used, begun_s = entry.used, entry.period.begun_s
            for place, index, warm in entry.places_of(ticket.version) if entry.born else entry.room.places:
                # Most often it is just what was thought of one measure or another, the steps always.
                if more[index] and begun_s[place] <= at_s:
                    used[place] += more[index]
                    if used[place] >= warm:
                        self._hot[entry.scope] = None

    def release(self, scope: str, at_s: float) -> None:
        """Begin the accounts of a scope and of all below it anew; calls under way count as what was before.

        A run that is released may be as deep as it is.
        """
        for each, entry in self._entries.items():
            if scope in (GLOBAL, each) or scope in entry.above:
                pardoned_s = at_s if each == scope else entry.pardoned_s
                self._entries[each] = entry.anew(pardoned_s)
                self._hot.pop(each, None)

    def used(self, scope: str, limit: str, now_s: float) -> int:
        """Return what is used and reserved of a limit (by its name) in the present period."""
        entry = self._entries.get(scope)
        return 0 if entry is None else next((used for rule, used in entry.counted(now_s) if rule.name == limit), 0)

    def report(self, now_s: float, *, whole: bool = False) -> dict[str, dict[str, float]]:
        """Return the part that is used of each limit of which this gateway has used half of its share, by scope.

        All of those that have used more than their share are among them; `whole` asks for every limit used.
        """
        found: dict[str, dict[str, float]] = {}
        for scope in list(self._entries if whole else self._hot):
            entry = self._entries.get(scope)
            hot = {
                rule.name: used / rule.limit.amount
                for rule, used in (() if entry is None else entry.counted(now_s, hot=not whole))
                if rule.limit.amount
            }
            if hot:
                found[scope] = hot
            else:
                self._hot.pop(scope, None)
        return found

    def dump(self, now_s: float) -> list[tuple[str, str, float, int]]:
        """Return (scope, limit, when its period began, used) of each account, for `load` after a restart."""
        rows = [
            (scope, rule.name, now_s if rule.of_runs else entry.begun_s(rule), used)
            for scope, entry in self._entries.items()
            for rule, used in entry.counted(now_s)
        ]
        pardons = [(scope, PARDON, each.pardoned_s, 0) for scope, each in self._entries.items() if each.pardoned_s]
        return rows + pardons

    def above(self, rows: Iterable[tuple[str, str, float, int]]) -> dict[str, tuple[str, ...]]:
        """Return what is above each scope of a dump: a release of one of those begins it anew."""
        return {row[0]: tuple(self._entries[row[0]].above) for row in rows}

    def load(self, rows: Iterable[tuple[str, str, float, int]], above: Mapping[str, tuple[str, ...]]) -> None:
        """Take in what was used before a restart; limits that are gone are ignored."""
        found: dict[str, dict[str, tuple[float, int]]] = {}
        for scope, name, begun_s, used in rows:
            found.setdefault(scope, {})[name] = (begun_s, used)
        for scope, names in found.items():
            self._load(scope, names, above.get(scope) or (scope,))
        self._share(None)

    def _load(self, scope: str, rows: Mapping[str, tuple[float, int]], above: Above) -> None:
        entry = self._entries.get(scope) or self._begin(scope.partition(":")[0], scope, above, NEVER_S)
        entry.change(self._plans.with_rules(entry.plan, rows), self._version)
        entry.load(rows)
        entry.pardoned_s = rows[PARDON][0] if PARDON in rows else entry.pardoned_s

    def _find(self, caller: Caller, now_s: float) -> list[Entry]:
        """Return what is counted of the team, the agent, all above the run, and the run, in that order."""
        entries, plans, agent, team = self._entries, self._plans, caller.agent, caller.team
        found: list[Entry] = []
        above: Above = ()
        if plans.of_owners:
            if caller.is_claimed:
                self._claimed.update([each for each in (agent, team) if each and each not in entries])
            elif self._claimed:
                self._claimed.difference_update((agent, team))
            if team:
                found.append(owner := entries.get(team) or self._begin("team", team, (team,), now_s))
                # Those of the entry, not of this call: they are kept once.
                team, above = owner.scope, owner.above
            if agent:
                found.append(owner := entries.get(agent) or self._begin("agent", agent, above, now_s))
                agent = owner.scope
        if not plans.of_runs:
            return found
        known = plans.of_owners and agent and team
        for run in reversed(caller.runs):
            entry = entries.get(run)
            if entry is None:
                above = tuple([each.scope for each in found])
                entry = self._begin("run", run, above if known else (agent, team, *above), now_s)
            elif agent not in entry.above or team not in entry.above:
                self._adopt(run, entry, agent, team)
            found.append(entry)
        return found

    def _begin(self, kind: str, scope: str, above: Above, now_s: float) -> Entry:
        plan = self._plans.fixed.get(kind) or self._plans.of(kind, scope, above)
        room = plan.room_with(self._named.get(scope)) if self._named else plan.room
        period = plan.period
        if not period.since_s <= now_s < period.next_s:
            period = plan.at(now_s)
        made = self._entries[scope] = Entry(scope, plan, plan.unused.copy(), room, period, above)
        self._turns.append(scope)
        # Two old ones for each new one.
        self._looks_due += 2
        return made

    def _adopt(self, run: str, entry: Entry, agent: str, team: str) -> None:
        """Have the limits hold for a run that another agent or team has for each of its runs."""
        if isinstance(entry.above, tuple):
            # A whole fleet may call in one.
            entry.above = dict.fromkeys(entry.above)
        if len(entry.above) < CALLERS_MAX:
            entry.above[agent] = entry.above[team] = None
        if self._plans.owners_matter:
            plan = self._plans.joined(entry.plan, self._plans.of("run", run, (agent, team)))
            if plan is not entry.plan:
                self._version += 1
                entry.change(plan, self._version)
                entry.room = plan.room_with(self._named.get(run))

    def _make_room(self, looks: int, now_s: float) -> None:
        """Look at so many entries: drop those that are over, give the others another round.

        Not while a call is being counted, which may have just found one of them. It is put off to where nobody waits
        for it, the settlements, unless there are too few of them. Where there is no room, runs and claimed owners are
        forgotten first: made-up ones must not make room for those who make them up.
        """
        self._looks_due -= max(looks, 0)
        spared = 0
        while self._turns and (looks > 0 or len(self._entries) > self._scopes_max):
            looks -= 1
            scope = self._turns.popleft()
            entry = self._entries[scope]
            is_over, is_full = entry.is_over(now_s), len(self._entries) > self._scopes_max
            is_made_up = scope.startswith("run:") or scope in self._claimed
            if is_full and not is_over and not is_made_up and spared < SPARED_MAX:
                spared += 1
                is_full = False
            if is_over or is_full:
                self._claimed.discard(scope)
                self.forgotten += bool(entry.used) and not is_over
                del self._entries[scope]
            else:
                self._turns.append(scope)
