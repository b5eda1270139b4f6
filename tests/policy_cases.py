"""Breaches for tests of the policy."""

from msgspec.structs import replace

from alerts.decision import Evidence
from alerts.policy import Breach, Rules

ARMED = Rules(shadow=False)


def breach(value: float, scope: str = "agent:a", usd: float = 5.0, **fields: object) -> Breach:
    evidence = Evidence(agent=scope.partition(":")[2], team="t", seen_usd_per_min=usd, calls=50)
    usual = Breach(
        scope=scope,
        value=value,
        detector="surge",
        reason="much",
        window_start_s=0.0,
        evidence=evidence,
        tokens_per_min=1e6,
    )
    return replace(usual, **fields)
