"""Rows that are too large for one record, in slices: the first has the row's own key, the others are numbered."""

from collections.abc import Mapping

SLICE_BYTES = 256 * 1024
PREFIX = b"\0slice:"


def cut(rows: Mapping[bytes, bytes | None], held: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
    """Return the rows with large ones cut up, and with slices that are `held` of longer ones before them deleted.

    >>> cut({b"a": b"x" * (SLICE_BYTES + 1), b"b": b"short"}, {})[b"\\0slice:1:a"]
    b'x'
    >>> cut({b"a": b"short"}, {b"\\0slice:1:a": b"x"})
    {b'a': b'short', b'\\x00slice:1:a': None}
    """
    found: dict[bytes, bytes | None] = {}
    for key, value in rows.items():
        found[key] = value
        number = 1
        if value is not None and len(value) > SLICE_BYTES:
            found[key] = value[:SLICE_BYTES]
            for at in range(SLICE_BYTES, len(value), SLICE_BYTES):
                found[_name(number, key)] = value[at : at + SLICE_BYTES]
                number += 1
        while (name := _name(number, key)) in held:
            found[name] = None
            number += 1
    return found


def joined(rows: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the rows whole.

    >>> joined({b"a": b"x", b"\\0slice:1:a": b"y", b"b": b"z"})
    {b'a': b'xy', b'b': b'z'}
    """
    found = {key: value for key, value in rows.items() if not key.startswith(PREFIX)}
    if len(found) < len(rows):
        for key in {name[len(PREFIX) :].partition(b":")[2] for name in rows if name.startswith(PREFIX)}:
            parts, number = [found[key]], 1
            while (part := rows.get(_name(number, key))) is not None:
                parts.append(part)
                number += 1
            found[key] = b"".join(parts)
    return found


def _name(number: int, key: bytes) -> bytes:
    return b"%s%d:%s" % (PREFIX, number, key)
