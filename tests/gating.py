"""A guard with gates, and a person who answers its requests, for tests."""

from typing import Any

from signing import APPROVER, ENV, TRUST, command, live_guard

from alerts.gateway.accounts import Caller
from alerts.gateway.approvals import Held, asked_by
from alerts.gateway.asking import Asked, Request, Use, Word
from alerts.gateway.budget import Load
from alerts.gateway.guard import Guard, Kind
from alerts.gateway.identity import Answer, Identity
from alerts.gateway.limits import RULES_KEY, Gate, Limit, Rules, Shares, sign
from alerts.gateway.pricing import UnitPrice
from alerts.gateway.wire import State

DEAR = Gate(name="dear", models=("opus*",))
# $1 a million tokens: a token is a micro-dollar.
PLAIN = UnitPrice(1.0, 1.0, 1.0, 1.0)


class Bench:
    """One gateway; commands about its requests are numbered as the service does."""

    def __init__(self, *gates: Gate, limit_tokens: int = 0, guard: Guard | None = None, seq: int = 0) -> None:
        self.guard = guard or live_guard(100.0)
        self._seq = seq
        if guard is not None:
            return
        limits = (Limit("agent:*", "tokens", "day", limit_tokens),) if limit_tokens else ()
        rules = Rules(
            v=1, env=ENV, writer="w", epoch=1, seq=1, issued_at=0.0, limits=limits, gates=gates, unknown=PLAIN
        )
        assert self.guard.apply_rules(RULES_KEY, sign(rules, APPROVER), 100.0).kind is Kind.RULES
        shares = Shares(v=1, env=ENV, gateway="", epoch=1, seq=1, usual=1.0)
        self.guard.apply_rules("shares:", sign(shares, APPROVER), 100.0)

    def check(self, who: Identity, now_s: float = 101.0, load: Load | None = None) -> Answer:
        return self.guard.check(who, now_s, load)

    def change(self, *gates: Gate) -> None:
        rules = Rules(v=1, env=ENV, writer="w", epoch=1, seq=2, issued_at=0.0, gates=gates, unknown=PLAIN)
        assert self.guard.apply_rules(RULES_KEY, sign(rules, APPROVER), 100.0).kind is Kind.RULES

    def words(self) -> list[Word]:
        return self.guard.approvals.drain()

    def requests(self) -> list[Request]:
        return [word for word in self.words() if isinstance(word, Request)]

    def asked(self, who: Identity, gate: str = "dear") -> Asked:
        team = f"team:{who.team}" if who.team else ""
        caller = Caller(f"agent:{who.agent}" if who.agent else "", team, (f"run:{who.run}",) if who.run else ())
        return asked_by(gate, Held(who, caller, who.model, (), 0, 0.0))

    def approve(self, who: Identity, use: Use, until: float = 1e9, now_s: float = 100.0) -> None:
        self._order(who, State.RELEASED, now_s, use=use, expires_at=until)

    def deny(self, who: Identity, now_s: float = 100.0) -> None:
        self._order(who, State.KILLED, now_s)

    def hold(self, who: Identity, until: float, now_s: float = 100.0) -> None:
        self._order(who, State.HELD, now_s, expires_at=until)

    def restarted(self, now_s: float) -> "Bench":
        """Return what comes up from this one's snapshot."""
        guard = Guard(ENV, TRUST, now_s)
        guard.restore(self.guard.snapshot(), now_s)
        return Bench(guard=guard, seq=self._seq)

    def _order(self, who: Identity, state: State, now_s: float, **fields: Any) -> None:
        self._seq += 1
        asked = self.asked(who)
        made = command(asked.scope, state, seq=self._seq, asked=asked, issued_at=now_s, **fields)
        assert self.guard.apply(asked.scope, APPROVER.sign(made), now_s).kind is Kind.COMMAND
