"""PURE: who pays: usage by hour and by team, product, environment, cost centre, use case and model."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import json

from detectors.row import pack, unpack
from streams.caller import Caller
from streams.payer import Payer, PayerKey, payer_of
from streams.windows import HOUR_S, HOURS_KEPT, Count, window_of

__all__ = ["OTHERS", "PAYERS_MAX", "Attribution", "Payer", "PayerKey", "payer_of"]

PAYERS_MAX: Final = 2_000
"""In one hour of one shard; what others spend is booked under `OTHERS`."""
OTHERS: Final = "~others"


class Attribution:
    """One shard's usage by hour (its start in Unix seconds) and payer, cumulative; hours are kept for 26 hours.

    `drain` gives the rows that changed since it was last asked, `restore` takes them back; `hours_changed` names the
    hours that differ since it was last asked, for who publishes them.
    """

    def __init__(self, payers_max: int = PAYERS_MAX) -> None:
        self._payers_max = payers_max
        self.hours: dict[int, dict[PayerKey, Count]] = {}
        self._touched: list[tuple[int, PayerKey]] = []
        self._changed: set[int] = set()
        self._gone: list[tuple[int, PayerKey]] = []
        self._turn = 0
        """Counts up whenever accounts that a caller may hold are replaced."""

    def book(self, caller: Caller, at_s: float, tokens: int, micro_usd: int) -> None:
        """Count a call in its hour; the caller knows where its latest call was booked."""
        count, hour_s = caller.count, caller.hour_s
        if count is None or not hour_s <= at_s < hour_s + HOUR_S or caller.turn != self._turn:
            count = self._open(caller, window_of(at_s, HOUR_S))
        count.add(tokens, micro_usd)
        if not count.fresh:
            count.fresh = True
            self._touched.append((int(caller.hour_s), caller.account))

    def _open(self, caller: Caller, hour_s: int) -> Count:
        table = self.hours.get(hour_s)
        if table is None:
            table = self.hours[hour_s] = {}
        account = caller.payer
        count = table.get(account)
        if count is None:
            if len(table) >= self._payers_max:
                account = (OTHERS, None, None, None, None, "")
            count = table.setdefault(account, Count())
        caller.count, caller.account, caller.hour_s, caller.turn = count, account, float(hour_s), self._turn
        return count

    def evict(self, now_s: float) -> None:
        """Forget the hours that no event can belong to any more."""
        for hour_s in [hour_s for hour_s in self.hours if hour_s < now_s - HOURS_KEPT * HOUR_S]:
            self._gone += [(hour_s, key) for key in self.hours.pop(hour_s)]
            self._turn += 1

    def drain(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the rows that changed since the last call; None for one that is gone."""
        for hour_s, key in self._touched:
            table = self.hours.get(hour_s)
            if table is not None:
                table[key].fresh = False
                self._changed.add(hour_s)
                yield _name(hour_s, key), pack(table[key])
        for hour_s, key in self._gone:
            yield _name(hour_s, key), None
        self._touched = []
        self._gone = []

    def restore(self, name: str, value: bytes) -> None:
        """Take back a row that `drain` gave out."""
        hour, _, key = name.partition(":")
        self.hours.setdefault(int(hour), {})[tuple(json.decode(key))] = unpack(Count(), value)
        self._changed.add(int(hour))
        self._turn += 1

    def hours_changed(self) -> list[int]:
        """Return the starts of the hours whose rows were drained or restored since the last call."""
        changed = sorted(self._changed & self.hours.keys())
        self._changed.clear()
        return changed

    def tell_again(self, hours: Iterable[int]) -> None:
        """Take back hours that `hours_changed` gave out and that could not be published."""
        self._changed.update(hours)


def _name(hour_s: int, key: PayerKey) -> str:
    return f"{hour_s}:{json.encode(key).decode()}"
