"""A gateway's memory across its own restart: the signed records as they were read, and what is used; with checksums."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec import Struct

from .wire import WireError

_SUM_BYTES = 16
Record = tuple[str, bytes]


class Records(Struct, frozen=True):
    """What a snapshot holds: the records of the kill topic and of the limits topic, each with its key."""

    kills: list[Record]
    limits: list[Record] = []


class Used(Struct, frozen=True):
    """What the accounts held and what is above their scopes, as `Ceilings` says, and the last release of each scope."""

    accounts: list[tuple[str, str, float, int]]
    released: dict[str, tuple[int, int]] = {}
    above: dict[str, tuple[str, ...]] = {}


Content = TypeVar("Content", Records, Used)
_MAGIC: dict[type[Struct], bytes] = {Records: b"brakeline-snapshot 2\n", Used: b"brakeline-used 2\n"}


def encode_snapshot(kills: Iterable[Record], limits: Iterable[Record] = ()) -> bytes:
    """Return the content of a snapshot file."""
    return seal(Records(list(kills), list(limits)))


def seal(content: Records | Used) -> bytes:
    """Return a file's content, with a checksum."""
    body = msgspec.msgpack.encode(content)
    return _MAGIC[type(content)] + blake2b(body, digest_size=_SUM_BYTES).digest() + body


def unseal(content: bytes, kind: type[Content]) -> Content:
    """Return what was sealed, or raise WireError if one bit is not as it was written."""
    magic = _MAGIC[kind]
    body = content[len(magic) + _SUM_BYTES :]
    stored = content[len(magic) : len(magic) + _SUM_BYTES]
    if not content.startswith(magic) or blake2b(body, digest_size=_SUM_BYTES).digest() != stored:
        raise WireError("the snapshot is damaged or not one of ours")
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"the snapshot can't be read: {error}") from error
