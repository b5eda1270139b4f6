"""PURE: what rows of state look like in this release, so that those of another one aren't misread."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import msgpack

from detectors.row import Memory, shape

KEY: Final = b"v:"
"""Key of the row that tells how the others are laid out."""

Kinds = dict[str, str]


def fingerprints(kinds: Mapping[str, Sequence[type[Memory]]]) -> Kinds:
    """Return what tells the layout of each kind of row, a kind being what a key has before its first colon."""
    return {kind: shape([each() for each in memories]) for kind, memories in kinds.items()}


class Layout:
    """Of rows that were written before gives out those that can be read, and has the others deleted.

    Kinds without a fingerprint name their fields, and can always be read.
    """

    def __init__(self, ours: Kinds) -> None:
        self.unread: list[bytes] = []
        """Keys of rows laid out otherwise: left out, and deleted with the next that are written."""
        self._ours = ours
        self._is_told = False

    def readable(self, rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the rows that are laid out as here."""
        held = dict(rows)
        told = held.pop(KEY, None)
        theirs = msgpack.decode(told, type=Kinds) if told is not None else {}
        self._is_told = theirs == self._ours
        changed = {kind for kind, ours in self._ours.items() if theirs.get(kind) != ours}
        self.unread = [key for key in held if _kind(key) in changed]
        return [(key, value) for key, value in held.items() if _kind(key) not in changed]

    def complete(self, rows: dict[bytes, bytes | None]) -> dict[bytes, bytes | None]:
        """Return rows that are to be written with what has to be written beside them; the layout is told last."""
        if self._is_told and not self.unread:
            return rows
        whole = {**dict.fromkeys(self.unread), **rows, KEY: msgpack.encode(self._ours)}
        self._is_told, self.unread = True, []
        return whole

    def trouble(self, topic: str, partition: int) -> str:
        """Say what is left out; empty where nothing is."""
        if not self.unread:
            return ""
        return (
            f"{len(self.unread)} rows of state of {topic}[{partition}] are laid out as in another release and are left "
            "out: what they held, as the usual of agents and teams or their sums of today, is learnt anew; what is "
            "stopped stays stopped"
        )


def _kind(key: bytes) -> str:
    return key.partition(b":")[0].decode()
