"""What the transport hands over: the raw records of one fetched partition batch."""

from collections.abc import Sequence

from msgspec import Struct


def followed(offsets: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    """Return offsets with those that come after them: a range where none is left out; a list is added to in place.

    >>> followed(range(3, 5), range(5, 9))
    range(3, 9)
    >>> followed(range(3, 5), [7])
    [3, 4, 7]
    """
    if isinstance(offsets, range) and isinstance(more, range) and (not offsets or offsets.stop == more.start):
        return range(offsets.start, more.stop) if offsets else more
    found: list[int] = offsets if isinstance(offsets, list) else list(offsets)
    found.extend(more)
    return found


class RecordBatch(Struct, frozen=True):
    """Raw records of one partition, in offset order; the three sequences are of one length.

    `timestamps_ms` are the records' own: the broker's append time under LogAppendTime, the producer's under
    CreateTime. They are the engine's only clock. A `None` value is a null record.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps_ms: Sequence[int]
    values: Sequence[bytes | None]

    @property
    def last_offset(self) -> int:
        """Offset of the last record."""
        return self.offsets[-1]

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, end: int) -> "RecordBatch":
        """Return the records from index `start` to before `end`."""
        cut = slice(start, end)
        return RecordBatch(self.topic, self.partition, self.offsets[cut], self.timestamps_ms[cut], self.values[cut])
