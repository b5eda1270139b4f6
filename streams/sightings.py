"""PURE: what happened in a shard since it was last told to the pages. Noted for every event, so it does very little."""

from collections.abc import Iterable
from typing import Final

from detectors.verdict import Verdict
from streams.attribution import PayerKey

CALLS_MAX: Final = 50_000
"""Calls noted between two pulses of a shard; more are not to be found by their id."""


class SeenCalls:
    """Calls as columns: an object for each would keep the garbage collector busy."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.payers: list[PayerKey] = []
        self.at_s: list[float] = []
        self.micro_usd: list[int] = []


class Sightings:
    """Who called in which minute, for whom, which calls they were, and what the judge said last of each scope."""

    def __init__(self) -> None:
        self.active: dict[str, set[int]] = {}
        self.payers: dict[str, PayerKey] = {}
        self.calls = SeenCalls()
        self.verdicts: dict[str, tuple[float, str, Verdict]] = {}

    def saw(self, event_id: str, agent: str, payer: PayerKey, at_s: float, micro_usd: int) -> None:
        """Note a call."""
        self.payers[agent] = payer
        calls = self.calls
        if len(calls.ids) < CALLS_MAX:
            calls.ids.append(event_id)
            calls.payers.append(payer)
            calls.at_s.append(at_s)
            calls.micro_usd.append(micro_usd)

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
