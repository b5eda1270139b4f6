"""Which events were seen before: by id, within bounded memory, on the stream's own clock."""

from enum import Enum

from msgspec import Struct


class Seen(Enum):
    """What is known of an event id."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "id_conflict"


class SeenIds(Struct):
    """Two generations of event ids: the current one and the one before.

    An id is remembered for `generation_s` to twice that. A generation holds at most `entries_max` ids; more
    than that are not remembered and counted in `overflows`, for an alarm. Ids are kept as hashes of 64 bits.
    """

    generation_s: float = 600.0
    entries_max: int = 500_000
    number: int = -1
    current: dict[int, int] = {}
    before: dict[int, int] = {}
    overflows: int = 0

    def check(self, event_id: str, body: int, now_s: float) -> Seen:
        """Tell whether `event_id` is new at `now_s`, and remember it with `body`, a hash of its content."""
        number = int(now_s // self.generation_s)
        if number != self.number:
            self._turn(number)
        key = hash(event_id)
        known = self.current.get(key)
        if known is None:
            known = self.before.get(key)
        if known is not None:
            return Seen.DUPLICATE if known == body else Seen.CONFLICT
        if len(self.current) < self.entries_max:
            self.current[key] = body
        else:
            self.overflows += 1
        return Seen.NEW

    def since_s(self, now_s: float) -> float:
        """Return how far back the memory reaches at `now_s`: a restart reads the source again from there."""
        return (now_s // self.generation_s - 1) * self.generation_s

    def _turn(self, number: int) -> None:
        self.before = self.current if number == self.number + 1 else {}
        self.current = {}
        self.number = number
