"""Where a token's issuer keeps its public keys: a file, an address, one that its discovery document names."""

import asyncio
import re

import aiohttp
from msgspec import DecodeError, Struct, json

from streams.settings.page import Oidc

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0
BYTES_MAX = 1 << 20
NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class IssuerError(Exception):
    """The keys can't be had; the message says why."""


class Discovered(Struct, frozen=True):
    """What is needed of a discovery document."""

    issuer: str
    jwks_uri: str


_documents = json.Decoder(Discovered)


class Issuer:
    """Reads keys when asked; remembers nothing but what the discovery document said."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._found = ""

    @property
    def is_one_by_one(self) -> bool:
        """Whether each key has an address of its own, and is PEM."""
        return "{kid}" in (self._settings.jwks_url or "")

    async def keys(self, name: str) -> bytes:
        """Return the key of that name as PEM, or all keys as a JWKS. Raises IssuerError."""
        settings = self._settings
        try:
            if settings.jwks_file is not None:
                return await asyncio.to_thread(settings.jwks_file.read_bytes)
            if self.is_one_by_one and not NAME.fullmatch(name):
                raise IssuerError(f"{name[:64]!r} is no name of a key")
            return await _read((settings.jwks_url or await self._discovered()).replace("{kid}", name))
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            self._found = ""
            raise IssuerError(str(error) or type(error).__name__) from error

    async def _discovered(self) -> str:
        issuer = self._settings.issuer
        if not self._found:
            text = await _read(issuer.rstrip("/") + DISCOVERY)
            try:
                said = _documents.decode(text)
            except DecodeError as error:
                raise IssuerError(f"its discovery document can't be read: {error}") from error
            if said.issuer != issuer:
                raise IssuerError(f"its discovery document is of another issuer, {said.issuer[:128]!r}")
            if issuer.startswith("https://") and not said.jwks_uri.startswith("https://"):
                raise IssuerError("its discovery document names keys that aren't behind https")
            self._found = said.jwks_uri
        return self._found


async def _read(address: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as client, client.get(address, allow_redirects=False) as answer:
        if answer.status != 200:
            raise IssuerError(f"{address} answers {answer.status}")
        found = await answer.content.read(BYTES_MAX)
        while more := await answer.content.read(BYTES_MAX):
            found += more
            if len(found) > BYTES_MAX:
                raise IssuerError(f"{address} answers with more than a megabyte")
        return found
