"""Ed25519 keys and what each may do: a detector's key can only take away, an approver's also gives back."""

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from .wire import (
    HEARTBEAT_KEY,
    Command,
    Heartbeat,
    State,
    WireError,
    decode_envelope,
    decode_payload,
    encode_envelope,
    encode_payload,
    split_scope,
)


class Role(StrEnum):
    """What a key is for."""

    DETECTOR = "detector"
    APPROVER = "approver"
    COMMANDER = "commander"
    """Heartbeats only."""


class KeyRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key as it stands in a file; `private` is in private key files only."""

    key_id: str
    role: Role
    public: str
    private: str = ""


class TrustRecord(Struct, frozen=True):
    """The public trust file, the same for every gateway."""

    keys: list[KeyRecord]


class SigningKey:
    """A private key. Its text form is the content of a key file."""

    def __init__(self, key_id: str, role: Role, private: Ed25519PrivateKey) -> None:
        self.key_id = key_id
        self.role = role
        self._private = private

    @classmethod
    def make(cls, role: Role) -> Self:
        """Make a new key with a fresh id."""
        return cls(f"{role}-{token_hex(4)}", role, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read a key file's content; raise WireError."""
        try:
            record = msgspec.json.decode(text, type=KeyRecord)
            private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(record.private, validate=True))
        except (msgspec.MsgspecError, ValueError) as error:
            raise WireError(f"not a private key file of brakeline keys: {error}") from error
        return cls(record.key_id, record.role, private)

    def record(self) -> KeyRecord:
        """Return the private record."""
        private = base64.b64encode(self._private.private_bytes_raw()).decode()
        return KeyRecord(key_id=self.key_id, role=self.role, public=self.public().public, private=private)

    def public(self) -> KeyRecord:
        """Return the record for a trust file."""
        public = base64.b64encode(self._private.public_key().public_bytes_raw()).decode()
        return KeyRecord(key_id=self.key_id, role=self.role, public=public)

    def sign(self, payload: Command | Heartbeat) -> bytes:
        """Return a record's value."""
        return self.sign_bytes(encode_payload(payload))

    def sign_bytes(self, raw: bytes) -> bytes:
        """Return the envelope of a payload's exact bytes."""
        return encode_envelope(self.key_id, base64.b64encode(self._private.sign(raw)).decode(), raw)


class Signed(Struct, frozen=True):
    """A payload whose signature and role have been checked."""

    payload: Command | Heartbeat
    raw: bytes
    role: Role


class Trust:
    """The public keys that a reader believes, and the role of each."""

    def __init__(self, records: Iterable[KeyRecord]) -> None:
        self._keys: Mapping[str, tuple[Role, Ed25519PublicKey]] = {
            each.key_id: (each.role, Ed25519PublicKey.from_public_bytes(base64.b64decode(each.public, validate=True)))
            for each in records
        }

    @classmethod
    def of(cls, *keys: SigningKey) -> Self:
        """Trust these keys."""
        return cls(key.public() for key in keys)

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read a trust file's content; raise WireError."""
        try:
            return cls(msgspec.json.decode(text, type=TrustRecord).keys)
        except (msgspec.MsgspecError, ValueError) as error:
            raise WireError(f"not a trust file of brakeline keys: {error}") from error

    def verify(self, value: bytes, record_key: str) -> Signed:
        """Verify a record, then parse it; raise WireError if it is not what its key, signature and role allow."""
        role, raw = self.authenticate(value)
        payload = decode_payload(raw)
        _check_role(payload, role, record_key)
        return Signed(payload, raw, role)

    def authenticate(self, value: bytes) -> tuple[Role, bytes]:
        """Return who signed a record, and the payload's bytes, not yet parsed; raise WireError."""
        envelope = decode_envelope(value)
        known = self._keys.get(envelope.key_id)
        if known is None:
            raise WireError(f"signed by an unknown key {envelope.key_id!r}")
        role, public = known
        raw = bytes(envelope.payload)
        try:
            public.verify(base64.b64decode(envelope.signature, validate=True), raw)
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise WireError("the signature does not fit") from error
        return role, raw


def _check_role(payload: Command | Heartbeat, role: Role, record_key: str) -> None:
    if isinstance(payload, Heartbeat):
        if role is not Role.COMMANDER or record_key != HEARTBEAT_KEY:
            raise WireError(f"a heartbeat by a {role} key under {record_key!r}")
        return
    if payload.scope != record_key:
        raise WireError(f"signed for {payload.scope!r} but found under {record_key!r}")
    if not may_sign(role, payload.scope, payload.state):
        raise WireError(f"a {role} key can't have {payload.scope!r} {payload.state}")


def may_sign(role: Role, scope: str, state: State) -> bool:
    """Whether a key of this role can put `scope` into `state`."""
    if role is Role.APPROVER:
        return True
    return role is Role.DETECTOR and state is not State.RELEASED and split_scope(scope)[0] != "global"


def write_keys(folder: Path) -> list[Path]:
    """Make one key of each role in `folder` and the trust file beside them; return the paths.

    Private files are readable by their owner only. Raise FileExistsError rather than replace a file.
    """
    keys = [SigningKey.make(role) for role in Role]
    folder.mkdir(parents=True, exist_ok=True)
    trust = folder / "trust.json"
    paths = [folder / f"{key.role}.key" for key in keys]
    for path in (trust, *paths):
        if path.exists():
            raise FileExistsError(f"{path} is there already; keys are not replaced")
    for key, path in zip(keys, paths, strict=True):
        _write_private(path, msgspec.json.encode(key.record()))
    trust.write_bytes(msgspec.json.format(msgspec.json.encode(TrustRecord([key.public() for key in keys])), indent=2))
    return [*paths, trust]


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content + b"\n")
