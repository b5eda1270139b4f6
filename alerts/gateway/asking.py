"""What a gateway asks about a call that waits for a person, and what it says of an approval that it has used up.

Both travel unsigned on the acks topic: they grant nothing. The answer is a command about the scope `approval:ID`.
"""

from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

APPROVAL = "approval"
"""The kind of the scopes that are requests for approval."""
Use = Literal["once", "run", "span"]
"""What an approval covers: one call, the run with all below it, or all such calls of the agent for a span of time."""
Name = Annotated[str, Meta(max_length=512)]


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for: a gate, and whose calls it holds. `agent` and `team` are scopes, `run` is a plain id."""

    gate: Name
    agent: Name = ""
    team: Name = ""
    run: Name = ""

    @property
    def scope(self) -> str:
        """Name the request: a caller that tries again, at whichever gateway, asks for the same.

        >>> Asked(gate="dear", agent="agent:a").scope
        'approval:161ddc8e77c4642e'
        """
        return f"{APPROVAL}:{blake2b(msgspec.json.encode(self), digest_size=8).hexdigest()}"


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="approval_request"):
    """A call was refused and waits for a person. `seen` is the last command about its scope that the gateway knew."""

    env: Name
    gateway: Name
    asked: Asked
    model: Name = ""
    tools: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()
    estimate_micro_usd: int = 0
    seen: tuple[int, int] = (0, 0)


class Spent(Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_spent"):
    """The one call that `order`, a command about `scope`, approved has gone out."""

    env: Name
    gateway: Name
    scope: Name
    order: tuple[int, int]


Word = Request | Spent
_words = msgspec.json.Decoder(Word)


def encode_word(word: Word) -> bytes:
    """Return the value of a record of the acks topic."""
    return msgspec.json.encode(word)


def decode_word(value: bytes) -> Word:
    """Parse a record; raise DecodeError for any other, an ack too."""
    word: Word = _words.decode(value)
    return word
