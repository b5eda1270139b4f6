"""Who obeys: what the gateways report, against what was ordered. Pure."""

from bisect import bisect_right, insort
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from alerts.gateway.wire import STOPPED, Ack

STALE_S = 10.0
GONE_S = 3600.0
ORDERS_MAX = 10_000
NAMED_MAX = 3
SECONDS_FROM_S = 10.0
"""A gateway that comes later than this was away: nobody wants that in milliseconds."""
LIVE, UNTRUSTED = "live", "untrusted"


class Order(Struct, frozen=True):
    """A command on the kill topic: where it stands there, and when it was issued (Unix seconds)."""

    offset: int
    issued_s: float


class Trouble(Struct, frozen=True):
    """Why a gateway can't be counted on: `state` as it reports it, or stale, since when (Unix seconds)."""

    state: str
    since_s: float


class Coverage:
    """The gateways' latest reports. One that was stopped, or was silent for an hour, is no longer counted.

    A gateway obeys an order once it reports to have read past it, and believes what it reads. How long that took
    is known only if it had reported before.
    """

    def __init__(self) -> None:
        self.gateways: dict[str, Ack] = {}
        self._since: dict[str, float] = {}
        self._first: dict[str, int] = {}
        self._orders: dict[str, Order] = {}
        self._line: list[tuple[int, str]] = []
        """The orders as they stand on the topic."""
        self._took: dict[str, dict[str, float]] = {}
        self._untold: list[float] = []

    def watch(self, name: str, order: Order) -> None:
        """Follow an order by name; the newest 10,000 are followed."""
        if name in self._orders:
            return
        self._orders[name] = order
        insort(self._line, (order.offset, name))
        self._took[name] = {}
        for ack in self.gateways.values():
            if ack.offset >= order.offset:
                self._time(name, ack)
        if len(self._line) > 2 * ORDERS_MAX:
            for _, old in self._line[:-ORDERS_MAX]:
                del self._orders[old], self._took[old]
            del self._line[:-ORDERS_MAX]

    def report(self, ack: Ack) -> list[str]:
        """Take a gateway's report in; return the names of the orders that it had not read when it reported last."""
        before = self.gateways.get(ack.gateway)
        if ack.state == STOPPED:
            self.gateways.pop(ack.gateway, None)
            return []
        self.gateways[ack.gateway] = ack
        if before is None:
            self._first[ack.gateway] = ack.offset
        if before is None or before.state != ack.state:
            self._since[ack.gateway] = ack.at
        names = self._between(-1 if before is None else before.offset, ack.offset)
        for name in names:
            self._time(name, ack)
        return names

    def _between(self, after: int, until: int) -> list[str]:
        first, last = (bisect_right(self._line, offset, key=lambda place: place[0]) for offset in (after, until))
        return [name for _, name in self._line[first:last]]

    def _time(self, name: str, ack: Ack) -> None:
        order, took = self._orders[name], self._took[name]
        if order.offset > self._first[ack.gateway] and ack.gateway not in took:
            took[ack.gateway] = max(0.0, ack.at - order.issued_s)
            self._untold.append(took[ack.gateway])

    def drain_times(self) -> list[float]:
        """Return the seconds from order to obedience that became known since this was asked last."""
        found, self._untold = self._untold, []
        return found

    def live(self, now_s: float) -> list[str]:
        """Return the gateways that are counted: heard of within an hour."""
        return sorted(g for g, ack in self.gateways.items() if now_s - ack.at < GONE_S)

    def troubles(self, now_s: float) -> dict[str, Trouble]:
        """Return the counted gateways that are silent, can't see the kill topic or don't believe it."""
        found = {}
        for gateway in self.live(now_s):
            ack = self.gateways[gateway]
            if now_s - ack.at > STALE_S:
                found[gateway] = Trouble("stale", ack.at)
            elif ack.state != LIVE:
                found[gateway] = Trouble(ack.state, self._since[gateway])
        return found

    def obeying(self, name: str, now_s: float) -> list[str]:
        """Return the counted gateways that obey an order."""
        order = self._orders.get(name)
        return [] if order is None else [g for g in self.live(now_s) if self._read_to(g) >= order.offset]

    def _read_to(self, gateway: str) -> int:
        """What a gateway that doesn't believe its records has read says nothing."""
        ack = self.gateways[gateway]
        return -1 if ack.state == UNTRUSTED else ack.offset

    def uncovered(self, now_s: float) -> list[str]:
        """Return the orders that some counted gateway does not obey, oldest first."""
        lowest = min((self._read_to(gateway) for gateway in self.live(now_s)), default=None)
        return [] if lowest is None else self._between(lowest, self._line[-1][0] if self._line else -1)

    def disobeying(self, name: str, now_s: float) -> dict[str, Trouble | None]:
        """Return the counted gateways that don't obey an order, with what is known to be wrong with each."""
        obeying, troubles = self.obeying(name, now_s), self.troubles(now_s)
        return {gateway: troubles.get(gateway) for gateway in self.live(now_s) if gateway not in obeying}

    def text(self, name: str, now_s: float) -> str:
        """Say who obeys an order: "obeyed by 3 of 4 in 180 ms; gw-2 stale since 12:03 UTC"."""
        live, obeying = self.live(now_s), self.obeying(name, now_s)
        if not live:
            return "no gateway has reported"
        words, took = f"obeyed by {len(obeying)} of {len(live)}", self._took.get(name, {})
        if obeying and all(gateway in took for gateway in obeying):
            took_s = max(took[gateway] for gateway in obeying)
            words += f" in {1000 * took_s:,.0f} ms" if took_s < SECONDS_FROM_S else f" in {took_s:,.0f} s"
        others = self.disobeying(name, now_s)
        return "; ".join([words, *named(others)]) if others else words

    def counts(self, name: str, now_s: float) -> tuple[int, int]:
        """Return (gateways that obey the order, gateways counted)."""
        return len(self.obeying(name, now_s)), len(self.live(now_s))


def named(gateways: dict[str, Trouble | None]) -> list[str]:
    """Say of each gateway what is wrong with it, of three at most."""
    words = [
        f"{gateway} {trouble.state} since {clock(trouble.since_s)}" if trouble else f"{gateway} has not read it yet"
        for gateway, trouble in sorted(gateways.items())
    ]
    return words if len(words) <= NAMED_MAX else [*words[:NAMED_MAX], f"and {len(words) - NAMED_MAX} more"]


def clock(at_s: float) -> str:
    """Write the time of day.

    >>> clock(43_380.0)
    '12:03 UTC'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M UTC")


def states(acks: Iterable[Ack]) -> dict[str, int]:
    """Count gateways by the state that they report."""
    found: dict[str, int] = {}
    for ack in acks:
        found[ack.state] = found.get(ack.state, 0) + 1
    return found
