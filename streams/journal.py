"""Rows that don't fit into one atomic write: journalled first, so that a crash leaves all of them or none.

A record batch is atomic, several are not. So the rows are written to the journal in parts, then its head, which makes
them valid; then in their own places, and last the head is taken away. Whoever reads a head reads the journal's rows
over those that are in place.
"""

from collections.abc import Iterator, Mapping

from msgspec import msgpack

Rows = Mapping[bytes, bytes | None]
PREFIX = b"\0journal:"
HEAD = PREFIX + b"head"


def parts(rows: Rows, bytes_max: int) -> list[dict[bytes, bytes | None]]:
    """Cut rows into parts of at most so many bytes, and at least one row, in their order."""
    found: list[dict[bytes, bytes | None]] = [{}]
    room = bytes_max
    for key, value in rows.items():
        size = size_of(key, value)
        if size > room and found[-1]:
            found.append({})
            room = bytes_max
        found[-1][key] = value
        room -= size
    return found


def size_of(key: bytes, value: bytes | None) -> int:
    """Return how many bytes a row takes in a record batch or in the journal, at most."""
    return len(key) + len(value or b"") + 32


def writes(rows: Rows, bytes_max: int) -> Iterator[dict[bytes, bytes | None]]:
    """Yield the atomic writes, to be acknowledged in turn: one if the rows fit, else by way of the journal."""
    cut = parts(rows, bytes_max)
    if len(cut) == 1:
        yield cut[0]
        return
    for number, part in enumerate(cut):
        yield {_name(number): msgpack.encode(list(part.items()))}
    yield {HEAD: msgpack.encode(len(cut))}
    yield from cut
    yield _emptied(len(cut))


def unfinished(rows: Mapping[bytes, bytes]) -> Iterator[Rows]:
    """Yield the writes that a crash has kept from being finished; none if the journal isn't valid."""
    found = list(_journalled(rows))
    if found:
        yield from found
        yield _emptied(len(found))


def resolved(rows: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the rows with a valid journal's over them, and without the journal."""
    found = {key: value for key, value in rows.items() if not key.startswith(PREFIX)}
    for part in _journalled(rows):
        for key, value in part.items():
            if value is None:
                found.pop(key, None)
            else:
                found[key] = value
    return found


def _journalled(rows: Mapping[bytes, bytes]) -> Iterator[dict[bytes, bytes | None]]:
    head = rows.get(HEAD)
    for number in range(msgpack.decode(head, type=int) if head is not None else 0):
        yield dict(msgpack.decode(rows[_name(number)], type=list[tuple[bytes, bytes | None]]))


def _emptied(count: int) -> dict[bytes, bytes | None]:
    return {HEAD: None, **{_name(number): None for number in range(count)}}


def _name(number: int) -> bytes:
    return PREFIX + b"%d" % number
