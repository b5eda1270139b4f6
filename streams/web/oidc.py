"""Verifies the token that a proxy passes on: signature, issuer, audience, times. The only file that imports PyJWT."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import jwt

from streams.settings.page import Oidc

AGAIN_S = 60.0
"""Keys are read again at most this often, however many tokens name a key that isn't known."""
RETRY_S = 5.0
FRESH_S = 3_600.0
LEEWAY_S = 30
TOKEN_CHARS_MAX = 16_384


class Denied(Exception):
    """Who asks isn't let in; the message says why, and what would help."""


class Verifier:
    """Checks tokens against the issuer's keys, which it reads when they are needed."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
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
            key = await self._key(str(header.get("kid", "")))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Denied(f"Your token isn't accepted ({error}): sign in again.") from error
        return claims

    async def _key(self, name: str) -> jwt.PyJWK:
        async with self._reading:
            age_s = time.monotonic() - self._read_s
            if age_s > FRESH_S or (name not in self._keys and age_s > AGAIN_S):
                await self._read()
        key = self._keys.get(name)
        if key is None:
            raise jwt.InvalidKeyError(f"the issuer has no key {name[:64]!r}")
        return key

    async def _read(self) -> None:
        self._read_s = time.monotonic()
        try:
            found = jwt.PyJWKSet.from_json((await self._text()).decode())
        except (OSError, aiohttp.ClientError, TimeoutError, UnicodeDecodeError, jwt.PyJWTError) as error:
            if not self._keys:
                self._read_s += RETRY_S - AGAIN_S
                raise Denied(f"The issuer's keys can't be read ({error}): try again.") from error
            return
        self._keys = {str(key.key_id or ""): key for key in found.keys}

    async def _text(self) -> bytes:
        settings = self._settings
        if settings.jwks_file is not None:
            return await asyncio.to_thread(settings.jwks_file.read_bytes)
        timeout = aiohttp.ClientTimeout(total=5.0)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(str(settings.jwks_url)) as answer:
            answer.raise_for_status()
            return await answer.read()
