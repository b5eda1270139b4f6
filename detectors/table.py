"""Memories by scope: those in use as objects, all others as the rows that they are written as."""

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from detectors.row import Memory, Unpacker, pack, unpack

LIVE_MAX: Final = 8_192
"""Twice as many objects at most; a row takes a fraction of their memory and a few microseconds to unpack."""


class Kept(Memory):
    """A memory in a table. `last_s`, when its scope was last seen, is the first field that it carries."""

    def __init__(self, last_s: float = 0.0) -> None:
        self.last_s = last_s
        self.touched = False


Held = TypeVar("Held", bound=Kept)


class Table(Generic[Held]):
    """A mapping that hands out objects and holds the idle ones as bytes.

    Whoever changes a memory says so with `touch`; `drain` gives out the rows of those. Objects that were used since
    the last turn are `live`, those of the turn before `older`; what is in neither is unpacked when it is asked for.
    """

    def __init__(self, new: Callable[[], Held], live_max: int = LIVE_MAX) -> None:
        self._new = new
        self._live_max = live_max
        self._live: dict[str, Held] = {}
        self._older: dict[str, Held] = {}
        self._rows: dict[str, bytes] = {}
        self._touched: list[str] = []
        self.turn = 0
        """Counts up whenever somebody may hold an object that is no longer the one to be changed."""

    @property
    def changed(self) -> int:
        """How many rows `drain` would return."""
        return len(self._touched)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rows))

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def get(self, key: str) -> Held | None:
        """Return a memory, to be changed in place and touched."""
        found = self._live.get(key)
        if found is None:
            found = self._older.pop(key, None)
            if found is None:
                row = self._rows.get(key)
                if row is None:
                    return None
                found = unpack(self._new(), row)
            self._live[key] = found
        return found

    def __getitem__(self, key: str) -> Held:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: str, memory: Held) -> None:
        if key in self._rows:
            self.turn += 1
        self._live[key] = memory
        self._rows[key] = b""
        self.touch(key, memory)

    def __delitem__(self, key: str) -> None:
        del self._rows[key]
        self._live.pop(key, None)
        self._older.pop(key, None)
        self._touched.append(key)
        self.turn += 1

    def touch(self, key: str, memory: Held) -> None:
        """Note that a memory has changed."""
        if not memory.touched:
            memory.touched = True
            self._touched.append(key)

    def peek(self, key: str) -> Held:
        """Return a memory to look at; an idle one is unpacked for this only."""
        return self._live.get(key) or self._older.get(key) or unpack(self._new(), self._rows[key])

    def items(self) -> Iterator[tuple[str, Held]]:
        """Yield all, to look at."""
        for key in list(self._rows):
            yield key, self.peek(key)

    def last_s(self, key: str) -> float:
        """Return when a scope was last seen."""
        found = self._live.get(key) or self._older.get(key)
        return Unpacker(self._rows[key]).real(0.0) if found is None else found.last_s

    def idle_since(self, before_s: float) -> list[str]:
        """Return the scopes that were last seen before that time."""
        return [key for key in self._rows if self.last_s(key) < before_s]

    def drain(self) -> dict[str, bytes | None]:
        """Return the rows that changed since the last call; None for one that is gone."""
        changed: dict[str, bytes | None] = {}
        for key in self._touched:
            found = self._live.get(key)
            if found is None:
                found = self._older.get(key)
            if found is None:
                if key not in self._rows:
                    changed[key] = None
                continue
            found.touched = False
            row = pack(found)
            self._rows[key] = row
            changed[key] = row
        self._touched = []
        if len(self._live) > self._live_max:
            self._older, self._live = self._live, {}
            self.turn += 1
        return changed

    def restore(self, key: str, row: bytes) -> None:
        """Take back a row that `drain` gave out."""
        self._rows[key] = row
        self.turn += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and {k: pack(m) for k, m in self.items()} == {
            k: pack(m) for k, m in other.items()
        }

    __hash__ = None  # type: ignore[assignment]
