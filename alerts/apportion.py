"""How the limits are shared among gateways: whoever uses a limit more may use more of it. Pure: it is told the time.

The shares of a limit never sum up to more than 1. A gateway is thought to hold the most of what it was given since
the share that it last confirmed, and what it has used besides; one is raised only by what nobody else may hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import floor
from typing import NamedTuple

from alerts.gateway.limits import Shares
from alerts.gateway.plans import PERIOD_S, RUN_IDLE_S
from alerts.gateway.wire import VERSION, Ack

GONE_S = 300.0
NAMED_MAX = 400
STEP = 0.02
LEAST_PART = 0.2
FORGET_S = 600.0
HALF_LIFE_S = 120.0
ROUND = 10_000
SKEW_S = 5.0

Account = tuple[str, str]
"""(scope, name of the limit)."""


class Holding(NamedTuple):
    """The part of a limit that a gateway may use, and what it has used, for the scope that has used most of it."""

    gateway: str
    limit: str
    share: float
    used: float


class Member:
    """A gateway: what it was given since what it last confirmed, and what it has used."""

    def __init__(self, given: Sequence[Shares] = (), *, known: bool = True) -> None:
        self.given = list(given)
        self.known = known
        """Whether `given` is all that it may go by; else it may hold anything until it confirms the last."""
        self.use: dict[Account, tuple[float, float]] = {}
        """The part used, and when that period is over."""
        self.lately: dict[Account, tuple[float, float]] = {}
        """The part used in the last minutes, and when: what it may need again."""
        self.silent_s = 0.0
        self.gone = False
        self.open_calls = 0

    @property
    def last(self) -> Shares | None:
        """Return what it was given last."""
        return self.given[-1] if self.given else None

    def hear(self, ack: Ack) -> None:
        """Take in a report."""
        self.silent_s, self.gone, self.open_calls = 0.0, False, ack.open_calls
        for number, shares in enumerate(self.given):
            if shares.order == ack.shares:
                del self.given[:number]
                self.known = True
                break
        for scope, limits in ack.use.items():
            for limit, part in limits.items():
                self.use[scope, limit] = part, _ends_s(limit, ack.at)
                self.lately[scope, limit] = max(part, self.weight((scope, limit), ack.at)), ack.at

    def usual_most(self) -> float:
        """Return the most that it may hold of a limit that isn't named."""
        if self.gone:
            return 0.0
        return max((each.usual for each in self.given), default=0.0) if self.known else 1.0

    def most(self, account: Account, now_s: float) -> float:
        """Return the most that it may hold of one limit, what it has used already included."""
        used = self.used(account, now_s)
        if self.gone:
            return used
        held = max((each.of(*account) for each in self.given), default=0.0) if self.known else 1.0
        return max(used, held)

    def used(self, account: Account, now_s: float) -> float:
        """Return the part that it says it has used in the present period."""
        part, ends_s = self.use.get(account, (0.0, 0.0))
        return part if now_s < ends_s else 0.0

    def weight(self, account: Account, now_s: float) -> float:
        """Return how much of a limit it has needed lately."""
        part, at_s = self.lately.get(account, (0.0, now_s))
        return float(part * 0.5 ** (max(0.0, now_s - at_s) / HALF_LIFE_S))

    def forget(self, now_s: float) -> None:
        """Drop the use of periods that are over."""
        self.use = {account: (part, ends_s) for account, (part, ends_s) in self.use.items() if now_s < ends_s}
        self.lately = {
            account: (part, at_s) for account, (part, at_s) in self.lately.items() if now_s - at_s < FORGET_S
        }


class Apportioner:
    """Keeps each gateway's shares; `hear` reports and `tick`, then write what `due` returns.

    `given` are the records that were on the topic at the start: what earlier ones gave is unknown, so nothing is
    raised until each of those gateways has confirmed its record, or is gone.
    """

    def __init__(self, env: str, epoch: int, now_s: float, given: Iterable[Shares] = ()) -> None:
        self.members: dict[str, Member] = {}
        self._env = env
        self._epoch = epoch
        self._seq = 0
        self._hot: dict[Account, float] = {}
        self._named: dict[Account, None] = {}
        self._heard = False
        for shares in given:
            self._restore(shares, now_s)

    def _restore(self, shares: Shares, now_s: float) -> None:
        member = self.members[shares.gateway] = Member([shares], known=False)
        member.gone = shares.retired
        for scope, limits in shares.shares.items():
            for limit, part in limits.items():
                # What others may hold of it depends on this: it stays named until all hold what is usual.
                self._hot[scope, limit] = now_s
                self._named[scope, limit] = None
                if shares.retired:
                    member.use[scope, limit] = part, _ends_s(limit, now_s)

    def hear(self, ack: Ack, now_s: float) -> None:
        """Take in a gateway's report."""
        self._heard = True
        # One that goes by shares which are not on the topic (any more) may hold anything.
        member = self.members.setdefault(ack.gateway, Member(known=ack.shares == (0, 0)))
        member.hear(ack)
        if ack.state == "stopped":
            member.gone = True
        for scope, limits in ack.use.items():
            for limit in limits:
                self._hot[scope, limit] = now_s

    def tick(self, passed_s: float, now_s: float) -> None:
        """Let time pass: a gateway that is silent for 5 minutes while others are heard is gone."""
        for member in self.members.values():
            member.forget(now_s)
            if self._heard:
                member.silent_s += passed_s
                member.gone = member.gone or member.silent_s > GONE_S
        self._heard = False
        for account in [account for account, at_s in self._hot.items() if now_s - at_s > FORGET_S]:
            if self._is_usual(account, now_s):
                del self._hot[account]
                self._named.pop(account, None)

    def due(self, now_s: float) -> list[Shares]:
        """Return the shares to be given now; they count as given."""
        live = sorted(name for name, member in self.members.items() if not member.gone)
        for account in self._hot:
            if len(self._named) < NAMED_MAX:
                self._named[account] = None
        totals = {each: sum(m.most(each, now_s) for m in self.members.values()) for each in self._named}
        wanted = {each: self._targets(each, live, now_s) for each in self._named}
        made = [self._retire(name, now_s) for name in sorted(self.members.keys() - set(live)) if self._is_news(name)]
        for name in live:
            member = self.members[name]
            usual = self._usual(name, 1 / len(live))
            shares: dict[str, dict[str, float]] = {}
            for account in self._named:
                others = totals[account] - member.most(account, now_s)
                has = 0.0 if member.last is None else member.last.of(*account)
                shares.setdefault(account[0], {})[account[1]] = _allowed(wanted[account][name], has, others)
            if _differs(member.last, usual, shares):
                before = {account: member.most(account, now_s) for account in self._named}
                made.append(self._give(name, usual, shares))
                for account, held in before.items():
                    totals[account] += member.most(account, now_s) - held
        return made

    def holdings(self, limits: Iterable[str], now_s: float) -> list[Holding]:
        """Return what each live gateway holds of each limit, for the scope that has used most of it."""
        live = sorted((name, member) for name, member in self.members.items() if not member.gone)
        found = []
        for limit in limits:
            used = {each: sum(m.used(each, now_s) for _, m in live) for each in self._named if each[1] == limit}
            hottest = max(used, key=lambda account: used[account], default=None)
            for name, member in live:
                if hottest is None:
                    found.append(Holding(name, limit, member.usual_most(), 0.0))
                else:
                    held = member.most(hottest, now_s), member.used(hottest, now_s)
                    found.append(Holding(name, limit, *held))
        return found

    def gone(self) -> list[str]:
        """Return the gateways that are gone and have nothing used in a period that runs, and forget them."""
        names = [name for name, member in self.members.items() if member.gone and not member.use]
        for name in names:
            del self.members[name]
        return names

    def _usual(self, name: str, wanted: float) -> float:
        last = self.members[name].last
        has = 0.0 if last is None else last.usual
        if len(self._hot) > len(self._named):
            # Somebody may have used more than is usual of a limit that there is no room to name.
            return min(has, wanted)
        return _allowed(wanted, has, sum(m.usual_most() for other, m in self.members.items() if other != name))

    def _is_usual(self, account: Account, now_s: float) -> bool:
        return all(member.most(account, now_s) <= member.usual_most() + 1e-9 for member in self.members.values())

    def _targets(self, account: Account, live: Sequence[str], now_s: float) -> Mapping[str, float]:
        weights = [self.members[name].weight(account, now_s) for name in live]
        return dict(zip(live, split(weights), strict=True))

    def _is_news(self, name: str) -> bool:
        last = self.members[name].last
        return last is None or not last.retired

    def _retire(self, name: str, now_s: float) -> Shares:
        """Note on the topic what a gateway that is gone has used: a later service has to know it."""
        shares: dict[str, dict[str, float]] = {}
        for (scope, limit), (part, ends_s) in self.members[name].use.items():
            if now_s < ends_s:
                shares.setdefault(scope, {})[limit] = part
        return self._give(name, 0.0, shares, retired=True)

    def _give(self, name: str, usual: float, shares: dict[str, dict[str, float]], *, retired: bool = False) -> Shares:
        self._seq += 1
        made = Shares(
            v=VERSION, env=self._env, gateway=name, epoch=self._epoch, seq=self._seq, usual=usual, shares=shares,
            retired=retired,
        )  # fmt: skip
        self.members[name].given.append(made)
        return made


def _allowed(wanted: float, has: float, others: float) -> float:
    """Return `wanted`, or as much of it as the others leave; what it has already is not taken back for that."""
    if wanted <= has:
        return wanted
    room = floor(max(0.0, 1 - others) * ROUND) / ROUND
    return max(has, min(wanted, room))


def _differs(last: Shares | None, usual: float, shares: Mapping[str, Mapping[str, float]]) -> bool:
    if last is None:
        return usual > 0
    if abs(last.usual - usual) > STEP / 10 or last.shares.keys() - shares.keys():
        return True
    named = [(scope, limit, part) for scope, limits in shares.items() for limit, part in limits.items()]
    return any(abs(last.of(scope, limit) - part) > STEP for scope, limit, part in named)


def split(used: Sequence[float], least_part: float = LEAST_PART) -> list[float]:
    """Split a limit among gateways by what each has used of it; nobody gets less than that part of an equal one.

    >>> [round(each, 3) for each in split([3.0, 1.0, 0.0])]
    [0.667, 0.267, 0.067]
    """
    if not used:
        return []
    least, total = least_part / len(used), sum(used)
    if total <= 0:
        return [1 / len(used)] * len(used)
    return [least + (1 - least_part) * (each / total) for each in used]


def _ends_s(limit: str, at_s: float) -> float:
    """Return when what was used at `at_s` no longer matters."""
    per = limit.split("/", 2)[1]
    if per == "run":
        return at_s + 2 * RUN_IDLE_S
    return (at_s // PERIOD_S[per] + 1) * PERIOD_S[per] + SKEW_S
