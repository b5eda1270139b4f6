"""What the rows of state look like in this release, so that those of another one aren't misread."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from msgspec import msgpack

from detectors.contract import RunTrack, TreeTrack
from detectors.drift import Season
from detectors.memory import KINDS, AgentMemory, ShardMemory, Slot, TreeMemory
from detectors.row import Memory, shape
from detectors.team import Member, TeamMemory
from streams.windows import Count, Ledger

KEY: Final = b"v:"
"""Key of the row that tells how all others of its shard are laid out."""

_JUDGED: Final[tuple[type[Memory], ...]] = (
    AgentMemory,
    *KINDS,
    RunTrack,
    Season,
    TreeMemory,
    TreeTrack,
    TeamMemory,
    Member,
    ShardMemory,
    Slot,
)


@cache
def layouts(agent_row: type[Memory], shard_row: type[Memory]) -> dict[str, str]:
    """Return the fingerprint of each kind of row: rows of an equal one can be read."""
    kinds: dict[str, tuple[type[Memory], ...]] = {
        "a": (agent_row, Ledger, Count),
        "b": (Count,),
        "j": _JUDGED,
        "o": (shard_row,),
    }
    return {kind: shape([each() for each in members]) for kind, members in kinds.items()}


def readable(
    rows: Iterable[tuple[bytes, bytes]], ours: dict[str, str]
) -> tuple[list[tuple[bytes, bytes]], list[bytes], bool]:
    """Return the rows laid out as `ours`, the keys of all others, and whether the shard's row says just this.

    What people decided ("p:") names its fields and can always be read.
    """
    kept = dict(rows)
    known = kept.pop(KEY, None)
    theirs: dict[str, str] = msgpack.decode(known, type=dict[str, str]) if known is not None else {}
    gone = [key for key in kept if (kind := key[:1].decode()) in ours and theirs.get(kind) != ours[kind]]
    for key in gone:
        del kept[key]
    return list(kept.items()), gone, theirs == ours


def row_of(ours: dict[str, str]) -> bytes:
    """Return the row that tells the layout."""
    return msgpack.encode(ours)
