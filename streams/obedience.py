"""Calls of scopes that are stopped: counted by scope, said at once and then every ten seconds. Pure."""

from math import inf
from typing import Final

from alerts.decision import Action
from alerts.obedience import GRACE_S, Disobedience
from detectors.contract import Call
from streams.effects import Effects
from streams.rows import Rows

SAY_EVERY_S: Final = 10.0
SCOPES_MAX: Final = 10_000
GATEWAYS_MAX: Final = 8


class Tally:
    """What was seen of one scope since it was stopped."""

    def __init__(self, since_s: float, first_s: float) -> None:
        self.since_s = since_s
        self.first_s = first_s
        self.calls = 0
        self.said_calls = 0
        self.said_s = -inf
        self.micro_usd = 0
        self.gateways: list[str] = []


class Obedience:
    """One shard's eye on the scopes that it knows to be stopped; a restart begins to count anew."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._tallies: dict[str, Tally] = {}

    def look(self, call: Call, gateway: str, effects: Effects) -> None:
        """Take note of a call if its agent, run or team was stopped before it began."""
        if not call.input_tokens + call.output_tokens:
            return  # A refusal that a gateway reports is no call.
        began_s = call.at_s - call.latency_s
        standings = self._rows.standings
        for scope in ("agent:" + call.agent, "run:" + call.run, "team:" + call.team):
            standing = standings.get(scope)
            if standing is None or standing.shadow or standing.action not in (Action.KILL, Action.HOLD):
                continue
            if standing.in_force(call.now_s) and began_s > standing.since_s + GRACE_S:
                self._count(scope, standing.since_s, call, gateway)
                self._say(scope, call, began_s, effects)
                return

    def _count(self, scope: str, since_s: float, call: Call, gateway: str) -> None:
        tally = self._tallies.get(scope)
        if tally is None or tally.since_s != since_s:
            if len(self._tallies) >= SCOPES_MAX:
                self._tallies.clear()
            tally = self._tallies[scope] = Tally(since_s, call.now_s)
        tally.calls += 1
        tally.micro_usd += call.spend_micro_usd
        if gateway and gateway not in tally.gateways and len(tally.gateways) < GATEWAYS_MAX:
            tally.gateways.append(gateway)

    def _say(self, scope: str, call: Call, began_s: float, effects: Effects) -> None:
        tally = self._tallies[scope]
        if call.now_s - tally.said_s < SAY_EVERY_S:
            return
        effects.disobeyed.append(
            Disobedience(
                scope=scope,
                calls=tally.calls,
                new_calls=tally.calls - tally.said_calls,
                last_began_s=began_s,
                at_s=call.now_s,
                spend_usd=tally.micro_usd / 1e6,
                usd_per_min=tally.micro_usd / 1e6 / max(1.0, (call.now_s - tally.first_s) / 60),
                agent=call.agent,
                team=call.team,
                run=call.run,
                model=call.model,
                gateways=tuple(tally.gateways),
            )
        )
        tally.said_s, tally.said_calls = call.now_s, tally.calls
