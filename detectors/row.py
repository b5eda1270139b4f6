"""How a memory becomes a row of bytes and comes back: one method that names its fields serves both ways."""

from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

from librt.strings import (
    BytesWriter,
    read_f64_le,
    read_i32_le,
    read_i64_le,
    write_f64_le,
    write_i32_le,
    write_i64_le,
)
from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr

Floats = vec[float]
"""A fixed number of floats, eight bytes each; changed in place, and nothing more than a list to who reads it."""

_SMALL_MAX: Final = 253
_INT32: Final = 254
_INT64: Final = 255
_ZERO: Final = 0
_SMALL: Final = 1
_FLOAT: Final = 2


def zeros(count: int) -> Floats:
    """Return that many zeros."""
    return vec[float]([0.0] * count)


def floats(*values: float) -> Floats:
    """Return the values as a table that is searched for every call: a tuple holds an object for each."""
    return vec[float](list(values))


def scaled(shares: tuple[float, ...], by: float) -> Floats:
    """Return each share times `by`."""
    return vec[float]([share * by for share in shares])


def halve(counts: Floats) -> None:
    """Halve each count, so that the past weighs less."""
    for i in range(len(counts)):
        counts[i] *= 0.5


def latest(values: Floats, value: float, kept: int) -> Floats:
    """Return the values with one more at the end, of which the last `kept` stay; once full, they are moved in place."""
    if len(values) < kept:
        return append(values, value)
    for i in range(1, len(values)):
        values[i - 1] = values[i]
    values[len(values) - 1] = value
    return values


def bucket(ends: Floats, value: float) -> int:
    """Return the place of the first end that is not below the value; behind the last, the number of ends.

    >>> bucket(floats(0.5, 1.0), 0.7), bucket(floats(0.5, 1.0), 3.0)
    (1, 2)
    """
    i = 0
    for end in ends:
        if value <= end:
            break
        i += 1
    return i


class Row:
    """What a memory's `carry` is given: a Packer keeps and returns each value, an Unpacker returns the stored one."""

    unpacking: bool = False

    def real(self, value: float) -> float:
        """Carry a float, exactly."""
        raise NotImplementedError

    def whole(self, value: int) -> int:
        """Carry an integer of at most 64 bits."""
        raise NotImplementedError

    def text(self, value: str) -> str:
        """Carry a string."""
        raise NotImplementedError

    def blob(self, value: bytes) -> bytes:
        """Carry bytes."""
        raise NotImplementedError

    def reals(self, values: Floats) -> Floats:
        """Carry floats."""
        count = self.whole(len(values))
        if not self.unpacking:
            for value in values:
                self.real(value)
            return values
        return vec[float]([self.real(0.0) for _ in range(count)])

    def some(self, values: Floats, start: int, count: int) -> None:
        """Carry floats that are a part of others, as `reals` carries them; what is read is put in place."""
        self.whole(count)
        for i in range(start, start + count):
            values[i] = self.real(values[i])

    def flag(self, value: bool) -> bool:
        """Carry a truth."""
        return self.whole(int(value)) != 0

    def wholes(self, values: list[int]) -> list[int]:
        """Carry integers."""
        count = self.whole(len(values))
        return [self.whole(0 if self.unpacking else values[i]) for i in range(count)]

    def texts(self, values: list[str]) -> list[str]:
        """Carry strings."""
        count = self.whole(len(values))
        return [self.text("" if self.unpacking else values[i]) for i in range(count)]

    def amounts(self, values: dict[str, float]) -> dict[str, float]:
        """Carry floats by name, in their order."""
        names = self.texts(list(values))
        return {name: self.real(0.0 if self.unpacking else values[name]) for name in names}


class Packer(Row):
    """Writes down what it is given."""

    def __init__(self) -> None:
        self._out = BytesWriter()

    def value(self) -> bytes:
        """Return the row."""
        return self._out.getvalue()

    def real(self, value: float) -> float:
        """Write a float: one byte for zero, two for a small count."""
        out = self._out
        if value == 0.0:
            out.append(_ZERO)
        elif 0.0 < value < 256.0 and value == float(int(value)):
            out.append(_SMALL)
            out.append(int(value))
        else:
            out.append(_FLOAT)
            write_f64_le(out, value)
        return value

    def whole(self, value: int) -> int:
        """Write an integer: one byte up to 253, else five or nine."""
        out = self._out
        if 0 <= value <= _SMALL_MAX:
            out.append(value)
        elif -(2**31) <= value < 2**31:
            out.append(_INT32)
            write_i32_le(out, value)
        else:
            out.append(_INT64)
            write_i64_le(out, value)
        return value

    def reals(self, values: Floats) -> Floats:
        """Write floats."""
        self.whole(len(values))
        for value in values:
            self.real(value)
        return values

    def text(self, value: str) -> str:
        """Write a string."""
        self.blob(value.encode())
        return value

    def blob(self, value: bytes) -> bytes:
        """Write bytes."""
        self.whole(len(value))
        self._out.write(value)
        return value


class Unpacker(Row):
    """Reads what a Packer has written; what it is given is ignored. Raises IndexError where a row ends early."""

    def __init__(self, row: bytes) -> None:
        self.unpacking = True
        self._row = row
        self._at: i64 = 0

    def real(self, value: float) -> float:
        """Read a float."""
        at = self._at
        tag = self._row[at]
        if tag == _ZERO:
            self._at = at + 1
            return 0.0
        if tag == _SMALL:
            self._at = at + 2
            return float(self._row[at + 1])
        self._at = at + 9
        return read_f64_le(self._row, at + 1)

    def whole(self, value: int) -> int:
        """Read an integer."""
        at = self._at
        tag = self._row[at]
        if tag <= _SMALL_MAX:
            self._at = at + 1
            return tag
        if tag == _INT32:
            self._at = at + 5
            return int(read_i32_le(self._row, at + 1))
        self._at = at + 9
        return int(read_i64_le(self._row, at + 1))

    def text(self, value: str) -> str:
        """Read a string."""
        return self.blob(b"").decode()

    def blob(self, value: bytes) -> bytes:
        """Read bytes."""
        length = self.whole(0)
        start = self._at
        self._at = start + length
        return self._row[start : start + length]


class Shape(Row):
    """Notes the kinds of the values it is given."""

    def __init__(self) -> None:
        self.letters = ""

    def real(self, value: float) -> float:
        """Note a float."""
        self.letters += "r"
        return value

    def whole(self, value: int) -> int:
        """Note an integer."""
        self.letters += "w"
        return value

    def text(self, value: str) -> str:
        """Note a string."""
        self.letters += "t"
        return value

    def blob(self, value: bytes) -> bytes:
        """Note bytes."""
        self.letters += "b"
        return value


@mypyc_attr(acyclic=True)
class Memory:  # noqa: PLW1641 - mutable, so it has no hash
    """What a detector keeps of a scope: plain numbers, set in `__init__`, named once more in `carry`."""

    def carry(self, row: Row) -> None:
        """Give every field to the row and take what it answers: `self.total = row.real(self.total)`."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memory) and type(self) is type(other) and pack(self) == pack(other)


def pack(memory: Memory) -> bytes:
    """Return a memory's row."""
    packer = Packer()
    memory.carry(packer)
    return packer.value()


def unpack(memory: Any, row: bytes) -> Any:
    """Fill a new memory from its row and return it."""
    memory.carry(Unpacker(row))
    return memory


def shape(memories: Iterable[Memory]) -> str:
    """Return a fingerprint of how rows of such memories are laid out: the kinds of their values, in order."""
    row = Shape()
    for memory in memories:
        row.letters += f" {type(memory).__name__} "
        memory.carry(row)
    return f"{crc32(row.letters.encode()):08x}"
