"""The books of an agent: whatever the order, the sums are exact."""

from hypothesis import given
from hypothesis import strategies as st

from streams.windows import HOUR_S, Ledger, Usage

CALLS = st.lists(st.tuples(st.floats(0, 4 * HOUR_S), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=100)


@given(CALLS, st.lists(st.floats(0, 5 * HOUR_S), max_size=10))
def test_hours_sum_up_whatever_closes_in_between(calls: list[tuple[float, int, int]], marks: list[float]) -> None:
    ledger, watermark_s = Ledger(), 0.0
    pending = sorted(marks)
    for at_s, tokens, micro_usd in calls:
        if pending:
            watermark_s = max(watermark_s, pending.pop(0))
            ledger.advance(watermark_s)
        if at_s < watermark_s:
            ledger.add_late(at_s, tokens, micro_usd)
        else:
            ledger.add(at_s, tokens, micro_usd)

    for hour in range(0, 4 * HOUR_S + 1, HOUR_S):
        mine = [c for c in calls if hour <= c[0] < hour + HOUR_S]
        total = ledger.hour_total(hour)
        assert (total.calls, total.tokens, total.micro_usd) == (
            len(mine),
            sum(c[1] for c in mine),
            sum(c[2] for c in mine),
        )


@given(st.permutations([Usage(1, 10, 5), Usage(3, 40, 9), Usage(2, 20, 7)]), st.integers(1, 3))
def test_cumulative_counters_merge_alike_in_any_order_and_repeated(seen: list[Usage], times: int) -> None:
    merged = Usage()
    for usage in seen * times:
        merged.merge(usage)

    assert merged == Usage(3, 40, 9)


def test_the_past_is_forgotten_after_a_day() -> None:
    ledger = Ledger()
    for hour in range(48):
        ledger.add(hour * HOUR_S + 5.0, 1, 1)
        ledger.advance((hour + 1) * HOUR_S)

    assert len(ledger.hours) <= 27
