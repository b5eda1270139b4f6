"""Who obeys, in words."""

from alerts.coverage import Coverage, Order
from alerts.gateway.wire import Ack


def ack(gateway: str, at_s: float, offset: int, state: str = "live") -> Ack:
    return Ack(gateway=gateway, env="test", at=at_s, state=state, offset=offset, epoch=1, seq=1)


def test_it_says_how_many_obey_how_fast_and_who_is_stale() -> None:
    coverage = Coverage()
    for name in ("gw-1", "gw-2", "gw-3"):
        coverage.report(ack(name, 100.0, 4))
    coverage.watch("kill", Order(5, 103.0))
    coverage.report(ack("gw-1", 103.1, 5))
    coverage.report(ack("gw-3", 103.18, 5))

    assert coverage.text("kill", 112.0) == "obeyed by 2 of 3 in 180 ms; gw-2 stale since 00:01 UTC"
    assert coverage.counts("kill", 112.0) == (2, 3)


def test_only_the_first_report_of_an_order_counts() -> None:
    coverage = Coverage()
    coverage.watch("kill", Order(5, 100.0))

    assert coverage.report(ack("gw-1", 100.2, 5)) == ["kill"]
    assert coverage.report(ack("gw-1", 109.0, 9)) == []
    assert "200 ms" in coverage.text("kill", 109.0)


def test_without_gateways_it_says_so() -> None:
    assert Coverage().text("kill", 0.0) == "no gateway has reported"
