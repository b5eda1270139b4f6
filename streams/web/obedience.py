"""Which gateway has seen which command, and how long it took."""

from bisect import bisect_left, insort

from msgspec import Struct

from alerts.coverage import GONE_S, STALE_S
from alerts.gateway.wire import Ack, Command

ORDERS_MAX = 2_000


class Obeys(Struct, frozen=True):
    """One gateway and one command; `after_s` is None where nobody watched how long it took."""

    gateway: str
    obeys: bool
    is_fresh: bool
    after_s: float | None


class Gateway(Struct, frozen=True):
    """One gateway's last report, judged at a time."""

    ack: Ack
    age_s: float
    is_fresh: bool
    behind: int
    """Records of the kill topic that it hasn't applied."""


class Obedience:
    """Orders by their place on the kill topic, and the gateways' reports."""

    def __init__(self) -> None:
        self.acks: dict[str, Ack] = {}
        self.end = -1
        """Offset of the last record of the kill topic."""
        self._orders: list[tuple[int, float, str]] = []
        self._offset_of: dict[str, int] = {}
        self._after_s: dict[str, dict[str, float]] = {}

    def ordered(self, command: Command, offset: int) -> None:
        """Take note of a command at its place; the newest 2,000 are watched."""
        insort(self._orders, (offset, command.issued_at, command.kill_id))
        self._offset_of[command.kill_id] = offset
        if len(self._orders) > ORDERS_MAX:
            _, _, oldest = self._orders.pop(0)
            self._offset_of.pop(oldest, None)
            self._after_s.pop(oldest, None)

    def report(self, ack: Ack) -> None:
        """Take a gateway's report in."""
        before = self.acks.get(ack.gateway)
        self.acks[ack.gateway] = ack
        if before is None:
            return
        first = bisect_left(self._orders, (before.offset + 1, 0.0, ""))
        for offset, issued_s, kill_id in self._orders[first:]:
            if offset > ack.offset:
                break
            self._after_s.setdefault(kill_id, {})[ack.gateway] = max(0.0, ack.at - issued_s)

    def gateways(self, now_s: float) -> list[Gateway]:
        """Return the gateways that were heard of within an hour, by name."""
        found = [ack for _, ack in sorted(self.acks.items()) if now_s - ack.at < GONE_S]
        return [
            Gateway(ack, max(0.0, now_s - ack.at), _is_fresh(ack, now_s), max(0, self.end - ack.offset))
            for ack in found
        ]

    def of(self, kill_id: str, now_s: float) -> list[Obeys]:
        """Return who obeys a command; nobody where its place isn't known (any more)."""
        offset = self._offset_of.get(kill_id)
        if offset is None:
            return []
        after_s = self._after_s.get(kill_id, {})
        return [
            Obeys(each.ack.gateway, each.ack.offset >= offset, each.is_fresh, after_s.get(each.ack.gateway))
            for each in self.gateways(now_s)
        ]


def _is_fresh(ack: Ack, now_s: float) -> bool:
    return now_s - ack.at <= STALE_S and ack.state.lower() == "live"
