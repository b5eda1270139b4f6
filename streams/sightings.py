"""PURE: what happened in a shard since it was last told to the pages. Noted for every event, so it does very little."""

from collections.abc import Iterable
from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from detectors.verdict import Verdict
from streams.caller import Caller
from streams.payer import PayerKey

CALLS_MAX: Final = 50_000
"""Calls noted between two pulses of a shard; more are not to be found by their id."""


class SeenCalls:
    """Calls as columns: an object for each would keep the garbage collector busy. `payer` is a place in `payers`."""

    def __init__(self) -> None:
        self.payers: list[PayerKey] = []
        self.ids: list[str] = []
        self.payer = vec[i64]()
        self.at_s = vec[i64]()
        self.micro_usd = vec[i64]()


class Sightings:
    """Who called in which minute, for whom, which calls they were, and what the judge said last of each scope."""

    def __init__(self) -> None:
        self.active: dict[str, set[int]] = {}
        self.payers: dict[str, PayerKey] = {}
        self.calls = SeenCalls()
        self.verdicts: dict[str, tuple[float, str, Verdict]] = {}
        self._numbers: dict[PayerKey, int] = {}
        self._pulse = 1

    def saw(self, event_id: str, agent: str, caller: Caller, at_s: float, micro_usd: int) -> None:
        """Note a call."""
        if caller.pulse != self._pulse:
            self._begin(agent, caller)
        calls = self.calls
        if len(calls.ids) < CALLS_MAX:
            calls.ids.append(event_id)
            calls.payer = append(calls.payer, caller.payer_number)
            calls.at_s = append(calls.at_s, int(at_s))
            calls.micro_usd = append(calls.micro_usd, micro_usd)

    def _begin(self, agent: str, caller: Caller) -> None:
        """Number a payer, once a pulse and agent."""
        self.payers[agent] = caller.payer
        number = self._numbers.get(caller.payer)
        if number is None:
            number = self._numbers[caller.payer] = len(self._numbers)
            self.calls.payers.append(caller.payer)
        caller.pulse, caller.payer_number = self._pulse, number

    def moved(self, minutes: Iterable[tuple[str, int]]) -> None:
        """Note whose usage of which minute has changed."""
        for agent, start_s in minutes:
            known = self.active.get(agent)
            if known is None:
                self.active[agent] = {start_s}
            else:
                known.add(start_s)

    def judged(self, verdicts: Iterable[tuple[float, str, Verdict]]) -> None:
        """Note what the judge said: when, of which agent, and what; the last word on a scope counts."""
        for each in verdicts:
            self.verdicts[each[2].scope] = each

    def clear(self) -> None:
        """Begin anew: all of it was told."""
        self.active = {}
        self.payers = {}
        self.calls = SeenCalls()
        self.verdicts = {}
        self._numbers = {}
        self._pulse += 1
