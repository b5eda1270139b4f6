"""PURE: what goes on after a scope was stopped: calls that are refused, and calls that get through all the same."""

from msgspec import Struct

from alerts.gateway.wire import Ack

ORDERS_MAX = 2_000


class Aftermath(Struct, frozen=True, omit_defaults=True):
    """What was seen since a command: refused calls, and calls (with their dollars) that got through, and when last."""

    refused: int = 0
    refused_s: float = 0.0
    calls: int = 0
    spend_usd: float = 0.0
    last_s: float = 0.0

    def plus(self, other: "Aftermath") -> "Aftermath":
        """Return both; counters only grow, so repeats change nothing."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__struct_fields__)
        return Aftermath(*(max(pair) for pair in pairs))


NOTHING = Aftermath()


class Refusals:
    """Calls that the gateways refused, by the command; of the `ORDERS_MAX` commands that refused something last."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], int] = {}
        self._sums: dict[str, Aftermath] = {}
        self._news: set[str] = set()

    def report(self, ack: Ack) -> None:
        """Take a gateway's report in; a count that has shrunk is of a gateway that was started anew."""
        for name, calls in ack.denied.items():
            key = (name, ack.gateway)
            before = self._counted.pop(key, 0)
            self._counted[key] = calls
            more = calls - before if calls >= before else calls
            known = self._sums.pop(name, NOTHING)
            self._sums[name] = Aftermath(known.refused + more, max(known.refused_s, ack.at)) if more else known
            if more:
                self._news.add(name)
        for table in (self._counted, self._sums):
            while len(table) > ORDERS_MAX:
                del table[next(iter(table))]  # type: ignore[arg-type]

    def news(self) -> dict[str, Aftermath]:
        """Return the sums that have grown since this was asked last."""
        names, self._news = self._news, set()
        return {name: self._sums[name] for name in names if name in self._sums}
