"""An OIDC issuer on loopback (discovery, keys that rotate, keys one by one as an AWS load balancer's), and a proxy."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pages import serving

AUDIENCE = "brakeline"
ARN = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/x/1"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Provider:
    """Signs tokens; `keys` are those that it publishes, `asked` the addresses that were read."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, PrivateKey] = {"k1": rsa_key()}
        self.asked: list[str] = []
        self.discovery: dict[str, Any] = {}
        self.status = 200

    def token(self, kid: str = "k1", key: PrivateKey | None = None, **changes: Any) -> str:
        """Sign for Alice, on call; None takes a claim away."""
        now_s = int(time.time())
        claims = {
            "iss": self.url, "aud": AUDIENCE, "sub": "u1", "email": "alice@example.com", "groups": ["oncall"],
            "iat": now_s, "exp": now_s + 300,
        } | changes  # fmt: skip
        signing = key or self.keys[kid]
        algorithm = "RS256" if isinstance(signing, rsa.RSAPrivateKey) else "ES256"
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(told, signing, algorithm, headers={"kid": kid, "signer": ARN})

    async def _discover(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        said = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "id_token_signing_alg_values_supported": ["RS256"]}
        return web.json_response({**said, **self.discovery}, status=self.status)

    async def _keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response({"keys": [_jwk(kid, key) for kid, key in self.keys.items()]}, status=self.status)

    async def _key(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        key = self.keys.get(request.match_info["kid"])
        if key is None:
            return web.Response(status=404)
        return web.Response(body=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def app(self) -> web.Application:
        made = web.Application()
        made.router.add_get("/.well-known/openid-configuration", self._discover)
        made.router.add_get("/keys", self._keys)
        made.router.add_get("/pem/{kid}", self._key)
        return made


def _jwk(kid: str, key: PrivateKey) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return json.loads(RSAAlgorithm.to_jwk(public)) | {"kid": kid, "use": "sig", "alg": "RS256"}
    return json.loads(ECAlgorithm.to_jwk(public)) | {"kid": kid, "use": "sig"}


@asynccontextmanager
async def proxy(backend: str, header: str, value: str) -> AsyncIterator[str]:
    """Put a proxy before `backend` that signs everybody in: it says who it is in `header`, whatever clients say."""

    async def forward(request: web.Request) -> web.Response:
        sent = {name: text for name, text in request.headers.items() if name.lower() not in {header.lower(), "host"}}
        sent |= {header: value, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        async with (
            ClientSession(auto_decompress=False) as client,
            client.request(
                request.method, backend + str(request.rel_url), headers=sent, data=await request.read(),
                allow_redirects=False,
            ) as answer,
        ):  # fmt: skip
            kept = {name: text for name, text in answer.headers.items() if name in {"Location", "Set-Cookie"}}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    async with serving(app) as url:
        yield url


def settings_of(provider: Provider, **changes: Any) -> Mapping[str, Any]:
    """Return `page.oidc` for this issuer; None takes a setting away."""
    roles = {"oncall": "operator", "everybody": "viewer"}
    given = {"issuer": provider.url, "audience": AUDIENCE, "roles": roles, **changes}
    return {name: value for name, value in given.items() if value is not None}
