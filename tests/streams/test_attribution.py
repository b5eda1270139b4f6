"""Whoever pays is known for every call that counts, over crashes, repeats and strange names."""

from collections import Counter
from typing import Any

from feeding import T0_S, batch, engine, event
from hypothesis import given
from hypothesis import strategies as st

from streams.attribution import OTHERS, Attribution, payer_of
from streams.engine import Engine


def spent(found: Engine, field: str) -> Counter[str]:
    totals: Counter[str] = Counter()
    for table in found.rows.attribution.hours.values():
        for key, usage in table.items():
            totals[getattr(payer_of(key), field)] += usage.calls
    return totals


PAYERS: list[dict[str, Any]] = [
    {"team": "a", "product": "search", "cost_center": "cc-1"},
    {"team": "a", "product": "search", "use_case": "rank:1"},
    {"team": "", "environment": "prod"},
    {"team": "b", "model": "o3", "cost_center": "R&D: 7"},
]


@given(st.lists(st.sampled_from(PAYERS), max_size=40), st.integers(0, 40))
def test_a_restart_anywhere_and_a_repeated_batch_change_no_account(payers: list[dict[str, Any]], cut: int) -> None:
    events = [event(n, T0_S + 40.0 * n, agent=f"agent-{n % 3}", **payer) for n, payer in enumerate(payers)]
    whole, first, second = engine(), engine(), engine()
    whole.feed(batch(events))
    rows = first.feed(batch(events[:cut])).rows

    second.restore((key, value) for key, value in rows.items() if value is not None)
    second.feed(batch(events))

    assert second.rows.attribution.hours == whole.rows.attribution.hours


def test_late_calls_are_booked_in_their_own_hour_and_duplicates_not_at_all() -> None:
    found = engine()
    late = event(1, T0_S - 7200.0, cost_center="cc-1")
    found.feed(batch([event(0, cost_center="cc-1"), late, late], at_s=T0_S))

    assert {hour: sum(u.calls for u in table.values()) for hour, table in found.rows.attribution.hours.items()} == {
        int(T0_S): 1,
        int(T0_S) - 7200: 1,
    }


def test_what_an_event_does_not_say_is_empty_and_stays_in_the_sum() -> None:
    found = engine()
    found.feed(batch([event(0), event(1, cost_center="cc-1"), event(2, cost_center="")]))

    assert spent(found, "cost_center") == {"": 2, "cc-1": 1}


def test_payers_beyond_the_bound_share_one_account() -> None:
    found = engine()
    found.rows.attribution = Attribution(payers_max=3)
    found.feed(batch([event(n, product=f"p{n}") for n in range(10)]))

    assert spent(found, "team") == {"team-1": 3, OTHERS: 7}


def test_hours_are_forgotten_with_their_rows() -> None:
    books = engine()
    rows = books.feed(batch([event(0)])).rows
    later = books.feed(batch([event(1, T0_S + 30 * 3600.0)], first=1)).rows

    (gone,) = [key for key, value in later.items() if value is None and key.startswith(b"b:")]
    assert gone in rows
    assert list(books.rows.attribution.hours) == [int(T0_S) + 30 * 3600]


def test_an_hour_is_published_again_only_when_it_changed() -> None:
    found = engine()
    found.feed(batch([event(0)]))

    assert (found.rows.attribution.hours_changed(), found.rows.attribution.hours_changed()) == ([int(T0_S)], [])
    restored = Attribution()
    for key, value in engine().feed(batch([event(0)])).rows.items():
        if key.startswith(b"b:") and value is not None:
            restored.restore(key[2:].decode(), value)
    assert restored.hours_changed() == [int(T0_S)], "its last account may not have gone out before the crash"
