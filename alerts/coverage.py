"""Who obeys: what the gateways report, against what was ordered. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from alerts.gateway.wire import Ack

STALE_S = 10.0
GONE_S = 3600.0


class Order(Struct, frozen=True):
    """A command on the kill topic: where it stands there, and when it was issued (Unix seconds)."""

    offset: int
    issued_s: float


class Coverage:
    """The gateways' latest reports. One that was silent for an hour is no longer counted.

    `obeyed` remembers when each gateway first reported an order's offset, for the orders that were `watch`ed.
    """

    def __init__(self) -> None:
        self.gateways: dict[str, Ack] = {}
        self._orders: dict[str, Order] = {}
        self._obeyed: dict[str, dict[str, float]] = {}

    def watch(self, name: str, order: Order) -> None:
        """Follow an order by name; the newest 10,000 are followed."""
        if len(self._orders) >= 10_000:
            oldest = min(self._orders, key=lambda n: self._orders[n].issued_s)
            del self._orders[oldest]
            self._obeyed.pop(oldest, None)
        self._orders[name] = order
        self._obeyed[name] = {}

    def report(self, ack: Ack) -> list[str]:
        """Take a gateway's report in; return the names of the orders whose coverage changed."""
        self.gateways[ack.gateway] = ack
        changed = []
        for name, order in self._orders.items():
            seen = self._obeyed[name]
            if ack.offset >= order.offset and ack.gateway not in seen:
                seen[ack.gateway] = max(0.0, ack.at - order.issued_s)
                changed.append(name)
        return changed

    def live(self, now_s: float) -> list[str]:
        """Return the gateways that are counted: heard of within an hour."""
        return sorted(g for g, ack in self.gateways.items() if now_s - ack.at < GONE_S)

    def stale(self, now_s: float) -> dict[str, float]:
        """Return the counted gateways that are silent or can't see the kill topic, with their last report's time."""
        live = self.live(now_s)
        return {g: self.gateways[g].at for g in live if self._is_stale(self.gateways[g], now_s)}

    def _is_stale(self, ack: Ack, now_s: float) -> bool:
        return now_s - ack.at > STALE_S or ack.state.lower() != "live"

    def text(self, name: str, now_s: float) -> str:
        """Say who obeys an order: "obeyed by 3 of 4 in 180 ms; gw-2 stale since 12:03 UTC"."""
        seen, live, stale = self._obeyed.get(name, {}), self.live(now_s), self.stale(now_s)
        if not live:
            return "no gateway has reported"
        obeying = [g for g in live if g in seen]
        parts = [f"obeyed by {len(obeying)} of {len(live)}"]
        if obeying:
            parts[0] += f" in {1000 * max(seen[g] for g in obeying):,.0f} ms"
        parts += [f"{g} stale since {_clock(at)} UTC" for g, at in sorted(stale.items()) if g not in seen][:3]
        return "; ".join(parts)

    def counts(self, name: str, now_s: float) -> tuple[int, int]:
        """Return (gateways that obey the order, gateways counted)."""
        live = self.live(now_s)
        return sum(1 for g in live if g in self._obeyed.get(name, {})), len(live)


def _clock(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M")


def states(acks: Iterable[Ack]) -> dict[str, int]:
    """Count gateways by the state that they report."""
    found: dict[str, int] = {}
    for ack in acks:
        found[ack.state.lower()] = found.get(ack.state.lower(), 0) + 1
    return found
