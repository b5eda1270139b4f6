"""PURE: what happened in a shard since it was last told to the pages. Noted for every event, so it does very little."""

from collections.abc import Iterable

from detectors.verdict import Verdict
from streams.attribution import PayerKey
from streams.windows import MINUTE_S

CALLS_MAX = 50_000
"""Calls noted between two pulses of a shard; more are not to be found by their id."""


class Sightings:
    """Who called in which minute, for whom, which calls they were, and what the judge said last of each scope."""

    def __init__(self) -> None:
        self.active: dict[str, set[int]] = {}
        self.payers: dict[str, PayerKey] = {}
        self.calls: list[tuple[str, PayerKey, float, int]] = []
        self.verdicts: dict[str, tuple[float, str, Verdict]] = {}

    def saw(self, event_id: str, agent: str, payer: PayerKey, at_s: float, micro_usd: int) -> None:
        """Note a call."""
        self.payers[agent] = payer
        start_s = int(at_s) // MINUTE_S * MINUTE_S
        minutes = self.active.get(agent)
        if minutes is None:
            self.active[agent] = {start_s}
        else:
            minutes.add(start_s)
        if len(self.calls) < CALLS_MAX:
            self.calls.append((event_id, payer, at_s, micro_usd))

    def judged(self, verdicts: Iterable[tuple[float, str, Verdict]]) -> None:
        """Note what the judge said: when, of which agent, and what; the last word on a scope counts."""
        for each in verdicts:
            self.verdicts[each[2].scope] = each

    def clear(self) -> None:
        """Begin anew: all of it was told."""
        self.active = {}
        self.payers = {}
        self.calls = []
        self.verdicts = {}
