"""Who obeys, in words that can be trusted."""

import pytest

from alerts.coverage import Coverage, Order, Trouble
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
    assert coverage.uncovered(43_402.0) == [KILL]
    assert coverage.drain_times() == [pytest.approx(0.18)]

    coverage.report(ack("gw-2", 43_403.0, 6))
    assert coverage.text(KILL, 43_403.0) == "obeyed by 2 of 2 in 3,000 ms"
    assert coverage.uncovered(43_403.0) == []


def test_a_gateway_that_goes_silent_after_an_order_is_named_without_a_word_from_it() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 43_380.0, 4))
    coverage.watch(KILL, Order(offset=5, issued_s=43_381.0))

    assert coverage.text(KILL, 43_382.0) == "obeyed by 0 of 1; gw-1 has not read it yet"
    assert coverage.text(KILL, 43_395.0) == "obeyed by 0 of 1; gw-1 stale since 12:03 UTC"


def test_a_report_that_came_before_the_order_was_followed_counts() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 100.0, 4))
    coverage.report(ack("gw-1", 101.5, 5))
    coverage.watch(KILL, Order(offset=5, issued_s=101.0))

    assert coverage.text(KILL, 102.0) == "obeyed by 1 of 1 in 500 ms"


def test_how_long_it_took_is_not_made_up_for_a_gateway_that_had_not_reported_before() -> None:
    coverage = Coverage()
    coverage.watch(KILL, Order(offset=5, issued_s=100.0))
    coverage.report(ack("gw-1", 3_000.0, 9))

    assert coverage.text(KILL, 3_000.0) == "obeyed by 1 of 1"


def test_a_gateway_that_does_not_believe_what_it_reads_does_not_obey() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 43_380.0, 4))
    coverage.watch(KILL, Order(offset=5, issued_s=43_400.0))
    coverage.report(ack("gw-1", 43_401.0, 5, "untrusted"))
    coverage.report(ack("gw-1", 43_461.0, 6, "untrusted"))

    assert coverage.text(KILL, 43_461.0) == "obeyed by 0 of 1; gw-1 untrusted since 12:03 UTC"


def test_a_gateway_that_was_restarted_without_a_snapshot_obeys_once_it_has_read_again() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 100.0, 4))
    coverage.watch(KILL, Order(offset=5, issued_s=100.0))
    coverage.report(ack("gw-1", 100.1, 5))
    coverage.report(ack("gw-1", 160.0, -1, "syncing"))
    assert coverage.counts(KILL, 160.0) == (0, 1)
    coverage.report(ack("gw-1", 161.0, 7))
    assert coverage.text(KILL, 161.0) == "obeyed by 1 of 1 in 100 ms"


def test_three_troubled_gateways_are_named_and_the_rest_is_counted() -> None:
    coverage = Coverage()
    for number in range(5):
        coverage.report(ack(f"gw-{number}", 43_380.0, 4))
    coverage.watch(KILL, Order(offset=5, issued_s=43_400.0))

    assert coverage.text(KILL, 43_400.0).endswith("gw-2 stale since 12:03 UTC; and 2 more")


def test_a_gateway_that_cannot_see_the_topic_is_in_trouble_though_it_reports() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 100.0, 4, "stale"))
    coverage.report(ack("gw-1", 102.0, 4, "stale"))
    assert coverage.troubles(103.0) == {"gw-1": Trouble("stale", 100.0)}


def test_a_gateway_that_says_that_it_stops_is_no_longer_counted_until_it_is_back() -> None:
    coverage = Coverage()
    coverage.report(ack("gw-1", 100.0, 5))
    coverage.report(ack("gw-1", 101.0, 5, "stopped"))
    assert coverage.live(102.0) == []
    assert coverage.troubles(200.0) == {}
    coverage.report(ack("gw-1", 201.0, -1, "syncing"))
    assert coverage.live(202.0) == ["gw-1"]


def test_a_gateway_silent_for_an_hour_is_no_longer_counted() -> None:
    coverage = Coverage()
    coverage.watch(KILL, Order(offset=5, issued_s=100.0))
    coverage.report(ack("gw-1", 100.0, 5))
    assert coverage.counts(KILL, 3_699.0) == (1, 1)
    assert coverage.counts(KILL, 3_700.0) == (0, 0)
    assert coverage.text(KILL, 3_700.0) == "no gateway has reported"
