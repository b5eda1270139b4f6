"""Verifies the token that a proxy passes on: signature, issuer, audience, times. The only file that imports PyJWT."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from streams.settings.page import Oidc
from streams.web.issuer import Issuer, IssuerError

AGAIN_S = 10.0
"""Keys are read again at most this often, however many tokens name a key that isn't known."""
RETRY_S = 5.0
FRESH_S = 3_600.0
LEEWAY_S = 30
TOKEN_CHARS_MAX = 16_384

Key = jwt.PyJWK | bytes


class Denied(Exception):
    """Who asks isn't let in; the message says why, and what would help."""


class Verifier:
    """Checks tokens against the issuer's keys, which it reads when they are needed; `clock` returns seconds."""

    def __init__(self, settings: Oidc, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._issuer = Issuer(settings)
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._read_s = float("-inf")
        self._reading = asyncio.Lock()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that is valid now. Raises Denied."""
        settings = self._settings
        if not token:
            raise Denied(f"There is no token in the header {settings.header}: sign in through the proxy.")
        try:
            if len(token) > TOKEN_CHARS_MAX:
                raise jwt.DecodeError("it is too long")
            header = jwt.get_unverified_header(token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                await self._key(str(header.get("kid", ""))),
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=LEEWAY_S,
                options={
                    "require": ["exp", "iss", "sub", *(["iat", "aud"] if settings.signer is None else [])],
                    "verify_aud": settings.signer is None,
                },
            )
            # Verified by now: the signature covers the header too.
            if settings.signer is not None and header.get("signer") != settings.signer:
                raise jwt.InvalidTokenError(f"it is signed for {str(header.get('signer'))[:128]!r}")
        except jwt.PyJWTError as error:
            raise Denied(f"Your token isn't accepted ({error}): sign in again.") from error
        return claims

    async def _key(self, name: str) -> Key:
        async with self._reading:
            age_s = self._clock() - self._read_s
            if age_s > FRESH_S or (name not in self._keys and age_s > AGAIN_S):
                await self._read(name)
        key = self._keys.get(name)
        if key is None:
            raise jwt.InvalidKeyError(f"the issuer has no key {name[:64]!r}")
        return key

    async def _read(self, name: str) -> None:
        before_s, self._read_s = self._read_s, self._clock()
        try:
            text = await self._issuer.keys(name)
            if self._issuer.is_one_by_one:
                # What was read an hour ago may have been withdrawn.
                kept = {} if self._read_s - before_s > FRESH_S else self._keys
                self._keys = {**kept, name: text}
            else:
                found = jwt.PyJWKSet.from_json(text.decode())
                self._keys = {str(k.key_id or ""): k for k in found.keys if k.public_key_use in (None, "sig")}
        except (IssuerError, UnicodeDecodeError, jwt.PyJWTError) as error:
            if not self._keys:
                self._read_s += RETRY_S - AGAIN_S
                raise Denied(f"The issuer's keys can't be read ({error}): try again.") from error
