"""Rows are written all or none, wherever the writer is stopped."""

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from streams.journal import resolved, unfinished, writes

BYTES_MAX = 120
KEYS = st.sampled_from([b"a:%d" % n for n in range(12)])
HELD = st.dictionaries(KEYS, st.binary(max_size=40), max_size=12)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=40), min_size=1, max_size=12)


def applied(rows: Mapping[bytes, bytes], changes: Iterable[Mapping[bytes, bytes | None]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes | None] = dict(rows)
    for change in changes:
        found |= change
    return {key: value for key, value in found.items() if value is not None}


@given(HELD, CHANGES, st.data())
def test_after_a_stop_at_any_write_the_rows_are_the_old_or_the_new(
    held: dict[bytes, bytes], changes: dict[bytes, bytes | None], data: st.DataObject
) -> None:
    steps = list(writes(changes, BYTES_MAX))
    done = data.draw(st.integers(0, len(steps)))

    left = applied(held, steps[:done])

    assert resolved(left) in (held, applied(held, [changes]))
    assert resolved(applied(held, steps)) == applied(held, [changes])


@given(HELD, st.lists(CHANGES, min_size=1, max_size=4), st.data())
def test_what_comes_after_a_stop_is_written_over_what_it_left(
    held: dict[bytes, bytes], turns: list[dict[bytes, bytes | None]], data: st.DataObject
) -> None:
    left = held
    for changes in turns:
        wanted = applied(resolved(left), [changes])
        steps = [*unfinished(left), *writes(changes, BYTES_MAX)]
        kept = resolved(left)

        left = applied(left, steps[: data.draw(st.integers(0, len(steps)))])

        assert resolved(left) in (kept, wanted)


def test_rows_that_fit_are_one_write() -> None:
    assert list(writes({b"a": b"1", b"b": None}, BYTES_MAX)) == [{b"a": b"1", b"b": None}]


def test_a_row_larger_than_a_write_is_a_write_of_its_own() -> None:
    steps = list(writes({b"a": b"1", b"big": b"x" * 200, b"b": None}, BYTES_MAX))

    assert applied({}, steps) == {b"a": b"1", b"big": b"x" * 200}
