"""A gateway's memory across its own restart: the signed records as they were read, with a checksum."""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from .wire import WireError

_MAGIC = b"brakeline-snapshot 1\n"
_SUM_BYTES = 16


def encode_snapshot(records: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the content of a snapshot file."""
    body = msgspec.msgpack.encode(list(records))
    return _MAGIC + blake2b(body, digest_size=_SUM_BYTES).digest() + body


def decode_snapshot(content: bytes) -> list[tuple[str, bytes]]:
    """Return the records, or raise WireError if one bit is not as it was written."""
    body = content[len(_MAGIC) + _SUM_BYTES :]
    stored = content[len(_MAGIC) : len(_MAGIC) + _SUM_BYTES]
    if not content.startswith(_MAGIC) or blake2b(body, digest_size=_SUM_BYTES).digest() != stored:
        raise WireError("the snapshot is damaged or not one of ours")
    try:
        return msgspec.msgpack.decode(body, type=list[tuple[str, bytes]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"the snapshot can't be read: {error}") from error
