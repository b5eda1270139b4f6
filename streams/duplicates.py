"""Which events were seen before: by id, within bounded memory, on the stream's own clock."""

from enum import Enum
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

_FIRST_SLOTS: Final = 1024


class Seen(Enum):
    """What is known of an event id."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "id_conflict"


class Hashes:
    """A table from one hash of 64 bits to another, in 16 bytes a slot; at most two slots of three are taken.

    Each key is followed by its value: a look-up reaches into memory that no cache holds, once.
    """

    def __init__(self) -> None:
        self._count: i64 = 0
        self._mask: i64 = _FIRST_SLOTS - 1
        self._slots = vec[i64]([0] * (2 * _FIRST_SLOTS))

    def __len__(self) -> int:
        return int(self._count)

    def get(self, key: i64) -> i64:
        """Return what was put under a key, which is not 0; 0 if nothing was."""
        slots, mask = self._slots, self._mask
        slot = key & mask
        while True:
            found = slots[2 * slot]
            if found == key:
                return slots[2 * slot + 1]
            if found == 0:
                return 0
            slot = (slot + 1) & mask

    def put(self, key: i64, value: i64) -> None:
        """Put a value, which is not 0, under a key that isn't there."""
        if self._count * 3 >= self._mask * 2:
            self._grow()
        slots, mask = self._slots, self._mask
        slot = key & mask
        while slots[2 * slot] != 0:
            slot = (slot + 1) & mask
        slots[2 * slot] = key
        slots[2 * slot + 1] = value
        self._count += 1

    def _grow(self) -> None:
        before = self._slots
        size: int = 2 * len(before)
        self._count, self._mask = 0, len(before) - 1
        self._slots = vec[i64]([0] * size)
        for i in range(0, len(before), 2):
            if before[i] != 0:
                self.put(before[i], before[i + 1])


class SeenIds:
    """Two generations of event ids: the current one and the one before.

    An id is remembered for `generation_s` to twice that. A generation holds at most `entries_max` ids; more
    than that are not remembered and counted in `overflows`, for an alarm. Ids are kept as hashes of 64 bits.
    """

    def __init__(self, generation_s: float = 600.0, entries_max: int = 500_000) -> None:
        self.generation_s = generation_s
        self.entries_max = entries_max
        self.overflows = 0
        self.current = Hashes()
        self.before = Hashes()
        self._number = -1
        self._ends_s = 0.0

    def check(self, event_id: str, body: i64, now_s: float) -> Seen:
        """Tell whether `event_id` is new at `now_s`, and remember it with `body`, a hash of its content."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        key: i64 = hash(event_id)
        if key == 0:
            key = 1
        content: i64 = body if body != 0 else 1
        known = self.current.get(key)
        if known == 0:
            known = self.before.get(key)
        if known != 0:
            return Seen.DUPLICATE if known == content else Seen.CONFLICT
        if len(self.current) < self.entries_max:
            self.current.put(key, content)
        else:
            self.overflows += 1
        return Seen.NEW

    def since_s(self, now_s: float) -> float:
        """Return how far back the memory reaches at `now_s`: a restart reads the source again from there."""
        return (now_s // self.generation_s - 1) * self.generation_s

    def _turn(self, now_s: float) -> None:
        number = int(now_s // self.generation_s)
        self.before = self.current if number == self._number + 1 else Hashes()
        self.current = Hashes()
        self._number = number
        self._ends_s = (number + 1) * self.generation_s
