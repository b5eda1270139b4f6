"""What travels on the kill topic: signed payloads, and the codec of both.

An envelope carries a payload's exact bytes and an Ed25519 signature over them; those bytes are verified first
and parsed second. A record's key equals what its payload says it is about.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from .asking import APPROVAL, Asked, Use

VERSION = 1
SCOPE_KINDS = frozenset({"agent", "team", "run", "workflow", "global", APPROVAL})
GLOBAL = "global:all"
HEARTBEAT_KEY = "heartbeat:commander"
STOPPED = "stopped"
"""The state in a gateway's last report, when it is stopped on purpose."""
ENVELOPE_BYTES_MAX = 64 * 1024
SCOPE_CHARS_MAX = 512
NAMES_MAX = 1_000

Counter = Annotated[int, Meta(ge=0, le=2**53)]
ShortText = Annotated[str, Meta(max_length=256)]


class WireError(ValueError):
    """A record that can't be used; the message says why."""


class State(StrEnum):
    """What a command puts in force for its scope."""

    KILLED = "killed"
    HELD = "held"
    THROTTLED = "throttled"
    DOWNGRADED = "downgraded"
    RELEASED = "released"

    @property
    def severity(self) -> int:
        """How much it takes away: 0 for nothing, 4 for everything."""
        return _SEVERITY[self]


_SEVERITY = {State.RELEASED: 0, State.DOWNGRADED: 1, State.THROTTLED: 2, State.HELD: 3, State.KILLED: 4}


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="command"):
    """One signed order about one scope. Times are Unix seconds.

    `rate_per_min` (calls) belongs to `throttled`; `models` (dear name to cheaper name, "*" for any other)
    belongs to `downgraded`. Of an approval's scope `asked` says what it is about; `released` with a `use` approves it,
    until `expires_at`.
    """

    v: int
    env: ShortText
    scope: Annotated[str, Meta(max_length=SCOPE_CHARS_MAX)]
    state: State
    epoch: Counter
    seq: Counter
    writer: ShortText
    issued_at: float
    reason: Annotated[str, Meta(max_length=2000)]
    incident_id: ShortText
    actor: ShortText
    expires_at: float | UnsetType = UNSET
    evidence: dict[str, Any] = {}
    rate_per_min: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    models: dict[str, str] = {}
    asked: Asked | UnsetType = UNSET
    use: Use | UnsetType = UNSET

    def __post_init__(self) -> None:
        # Thousands are held, of few writers.
        for field in ("env", "writer", "actor"):
            structs.force_setattr(self, field, _kept_once(getattr(self, field)))

    @property
    def order(self) -> tuple[int, int]:
        """Commands of a scope are ordered by this alone."""
        return self.epoch, self.seq

    @property
    def kill_id(self) -> str:
        """Name the command in a denial, a log line, an incident."""
        return f"{self.scope}@{self.epoch}.{self.seq}"

    @property
    def ends_s(self) -> float:
        """When it lapses by itself; infinity if it doesn't."""
        return float("inf") if self.expires_at is UNSET else self.expires_at

    def in_force(self, now_s: float) -> bool:
        """Whether it takes anything away at `now_s`."""
        return self.state is not State.RELEASED and now_s < self.ends_s


class Heartbeat(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="heartbeat"):
    """What the commander believes to be in force at `issued_at`; exposes records that are missing or undone."""

    v: int
    env: ShortText
    writer: ShortText
    epoch: Counter
    max_seq: Counter
    active: Counter
    digest: ShortText
    issued_at: float
    rules: ShortText = ""
    """Digest of the rules on the limits topic; empty if the writer knows nothing of them."""


class Ack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gateway's report of what it obeys (unsigned; it grants nothing).

    `offset` is the last record of the kill topic that it has applied, -1 for none; `epoch` and `seq` are those
    of the last command it accepted. `shares` is the order of the shares it goes by, `use` the part of each limit that
    it has used, by scope and limit, of those of which half of its share is gone. `denied` counts the calls that it has
    refused by the command they were refused for, of the commands that refused something lately.
    """

    gateway: str
    env: str
    at: float
    state: str
    offset: int
    epoch: int
    seq: int
    active: int = 0
    refused_records: int = 0
    denied_calls: int = 0
    adapter: str = ""
    shares: tuple[int, int] = (0, 0)
    use: dict[str, dict[str, float]] = {}
    open_calls: int = 0
    """Calls that hold what they have reserved: under way, or never settled."""
    denied: dict[str, int] = {}


class Envelope(Struct, frozen=True):
    """A payload's exact bytes, and who vouches for them."""

    key_id: ShortText
    signature: ShortText
    payload: Raw


_names: dict[str, str] = {}
_envelopes = msgspec.json.Decoder(Envelope)
_payloads = msgspec.json.Decoder(Command | Heartbeat)
_acks = msgspec.json.Decoder(Ack)
_encoder = msgspec.json.Encoder()


def scope_of(kind: str, name: str) -> str:
    """Join a scope.

    >>> scope_of("agent", "support/triage:2")
    'agent:support/triage:2'
    """
    scope = f"{kind}:{name}"
    split_scope(scope)
    return scope


def split_scope(scope: str) -> tuple[str, str]:
    """Split at the first colon; raise WireError on an unknown kind, no name or control characters.

    >>> split_scope("run:a:b")
    ('run', 'a:b')
    """
    kind, colon, name = scope.partition(":")
    if kind not in SCOPE_KINDS or not colon or not name:
        raise WireError(f"not a scope: {scope[:80]!r}; write kind:id, the kind one of {', '.join(sorted(SCOPE_KINDS))}")
    if len(scope) > SCOPE_CHARS_MAX or not name.isprintable():
        raise WireError(f"a scope is at most {SCOPE_CHARS_MAX} printable characters")
    return kind, name


def _kept_once(name: str) -> str:
    if len(_names) > NAMES_MAX:
        _names.clear()
    return _names.setdefault(name, name)


def encode_payload(payload: Command | Heartbeat) -> bytes:
    """Return the bytes that are signed."""
    return _encoder.encode(payload)


def encode_envelope(key_id: str, signature: str, payload: bytes) -> bytes:
    """Return a record's value."""
    return _encoder.encode(Envelope(key_id, signature, Raw(payload)))


def decode_envelope(value: bytes) -> Envelope:
    """Parse a record's value, not yet its payload; raise WireError."""
    if len(value) > ENVELOPE_BYTES_MAX:
        raise WireError(f"oversized: {len(value)} bytes, at most {ENVELOPE_BYTES_MAX}")
    try:
        return _envelopes.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not an envelope: {error}") from error


def decode_payload(payload: bytes | Raw) -> Command | Heartbeat:
    """Parse bytes whose signature has been verified; raise WireError."""
    try:
        parsed: Command | Heartbeat = _payloads.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a payload: {error}") from error
    if parsed.v != VERSION:
        raise WireError(f"version {parsed.v}; this gateway understands {VERSION}")
    if isinstance(parsed, Command):
        split_scope(parsed.scope)
    return parsed


def encode_ack(ack: Ack) -> bytes:
    """Return the value of a record of the ack topic."""
    return _encoder.encode(ack)


def decode_ack(value: bytes) -> Ack:
    """Parse a record of the ack topic; raise WireError."""
    try:
        return _acks.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not an ack: {error}") from error


def fingerprint(payload: bytes | Raw) -> int:
    """Return 128 bits that stand for one payload in a digest, which is the sum of its members'."""
    return int.from_bytes(blake2b(bytes(payload), digest_size=16).digest(), "big")
