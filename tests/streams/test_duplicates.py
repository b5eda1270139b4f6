"""Ids are remembered long enough, within bounds."""

from streams.duplicates import Seen, SeenIds


def test_an_id_is_known_again_within_its_generation_and_the_next() -> None:
    seen = SeenIds(generation_s=600.0)

    assert seen.check("a", 1, 100.0) is Seen.NEW
    assert seen.check("a", 1, 500.0) is Seen.DUPLICATE
    assert seen.check("a", 1, 1100.0) is Seen.DUPLICATE
    assert seen.check("a", 2, 1100.0) is Seen.CONFLICT
    assert seen.check("a", 1, 1900.0) is Seen.NEW


def test_memory_is_bounded_and_says_when_it_overflows() -> None:
    seen = SeenIds(entries_max=10)
    for number in range(30):
        seen.check(f"id-{number}", 1, 5.0)

    assert (len(seen.current), seen.overflows) == (10, 20)
