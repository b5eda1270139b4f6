"""Who obeys, in words that can be trusted."""

from alerts.coverage import Coverage, Order
from alerts.gateway.wire import Ack

KILL = "agent:a@1.1"


def ack(gateway: str, at: float, offset: int, state: str = "live") -> Ack:
    return Ack(gateway=gateway, env="test", at=at, state=state, offset=offset, epoch=1, seq=1)


def test_who_has_applied_the_order_obeys_it_and_the_rest_is_named() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 43_380.0, 4))
    coverage.report(ack("gw-2", 43_380.0, 4))
    coverage.watch(KILL, Order(offset=5, issued_s=43_400.0))

    assert coverage.report(ack("gw-1", 43_400.18, 5)) == [KILL]
    assert coverage.report(ack("gw-1", 43_402.0, 6)) == [], "said once"
    assert coverage.counts(KILL, 43_402.0) == (1, 2)
    assert coverage.text(KILL, 43_402.0) == "obeyed by 1 of 2 in 180 ms; gw-2 stale since 12:03 UTC"


def test_a_gateway_that_cannot_see_the_topic_is_stale_though_it_reports() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 100.0, 4, "stale"))
    assert coverage.stale(101.0) == {"gw-1": 100.0}


def test_a_gateway_silent_for_an_hour_is_no_longer_counted() -> None:
    coverage = Coverage()
    coverage.watch(KILL, Order(offset=5, issued_s=100.0))
    coverage.report(ack("gw-1", 100.0, 5))
    assert coverage.counts(KILL, 3_699.0) == (1, 1)
    assert coverage.counts(KILL, 3_700.0) == (0, 0)
    assert coverage.text(KILL, 3_700.0) == "no gateway has reported"
