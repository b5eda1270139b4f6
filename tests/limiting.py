"""Signed records of the limits topic, and gateways that share limits, for tests."""

from signing import APPROVER, COMMANDER, ENV, live_guard

from alerts.gateway.guard import Guard, Kind
from alerts.gateway.limits import RULES_KEY, Limit, PriceTable, Rules, Shares, sign
from alerts.gateway.pricing import UnitPrice

# $1 a million tokens, read or written: a token is a micro-dollar.
PLAIN = UnitPrice(1.0, 1.0, 1.0, 1.0)


def rules(*limits: Limit, seq: int = 1, epoch: int = 1) -> bytes:
    made = Rules(v=1, env=ENV, writer="w", epoch=epoch, seq=seq, issued_at=0.0, limits=limits, unknown=PLAIN)
    return sign(made, APPROVER)


def prices(**models: UnitPrice) -> bytes:
    return sign(PriceTable(v=1, env=ENV, part=0, epoch=1, seq=1, models=models), COMMANDER)


def shares(gateway: str, usual: float, seq: int = 1, **named: dict[str, float]) -> bytes:
    made = Shares(v=1, env=ENV, gateway=gateway, epoch=1, seq=seq, usual=usual, shares=named)
    return sign(made, COMMANDER)


def limited_guard(*limits: Limit, name: str = "gw", share: float | None = 1.0, now_s: float = 100.0) -> Guard:
    made = live_guard(now_s)
    made.budget.gateway = name
    assert made.apply_rules(RULES_KEY, rules(*limits), now_s).kind is Kind.RULES
    if share is not None:
        assert made.apply_rules(f"shares:{name}", shares(name, share), now_s).kind is Kind.RULES
    return made
