"""Who gets in: this machine, or who brings a token that the issuer signed for us; and nobody by another's page."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pages import Filled, runaway

from streams.settings import Settings
from streams.web.access import FORWARDED

Client = TestClient  # type: ignore[type-arg]

OURS, OTHERS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
ISSUER, AUDIENCE = "https://sso.example.com", "brakeline"


@asynccontextmanager
async def page(**settings: Any) -> AsyncIterator[Client]:
    filled = Filled()
    runaway(filled)
    async with TestClient(TestServer(filled.app(Settings.model_validate({"page": settings})))) as client:
        yield client


def oidc(folder: Path, **changes: Any) -> dict[str, Any]:
    key = json.loads(RSAAlgorithm.to_jwk(OURS.public_key())) | {"kid": "k1", "use": "sig", "alg": "RS256"}
    (folder / "keys.json").write_text(json.dumps({"keys": [key]}))
    roles = {"oncall": "operator", "everybody": "viewer"}
    return {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": folder / "keys.json", "roles": roles, **changes}


def token(key: Any = OURS, kid: str = "k1", algorithm: str = "RS256", **changes: Any) -> str:
    now_s = int(time.time())
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u1", "email": "alice@example.com", "groups": ["oncall"],
        "iat": now_s, "exp": now_s + 60,
    } | changes  # fmt: skip
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm, headers={"kid": kid})


def bearing(made: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {made}"}


async def test_without_oidc_this_machine_is_let_in() -> None:
    async with page() as client:
        answer = await client.get("/")
        assert answer.status == 200
        assert "local" in await answer.text()


@pytest.mark.parametrize("header", FORWARDED)
async def test_without_oidc_nothing_that_a_proxy_passed_on_is_let_in(header: str) -> None:
    async with page() as client:
        answer = await client.get("/", headers={header: "127.0.0.1"})
        assert answer.status == 403
        assert "page.oidc" in await answer.text()


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8080", "127.0.0.1.evil.com", ""])
async def test_a_name_that_others_resolve_to_this_machine_is_not_let_in(host: str) -> None:
    async with page() as client:
        assert (await client.get("/", headers={"Host": host})).status in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "[::1]:8080", "[::1]", "127.0.0.1"])
async def test_this_machines_own_names_are_let_in(host: str) -> None:
    async with page() as client:
        assert (await client.get("/", headers={"Host": host})).status == 200


async def test_a_verified_token_says_who_and_with_which_role(tmp_path: Path) -> None:
    async with page(oidc=oidc(tmp_path)) as client:
        answer = await client.get("/", headers=bearing(token()))
        assert answer.status == 200
        assert "alice@example.com<small>operator</small>" in await answer.text()
        viewing = await client.get("/", headers=bearing(token(groups=["everybody"])))
        assert "<small>viewer</small>" in await viewing.text()


REFUSED: Mapping[str, str] = {
    "none": "",
    "signed by another": token(OTHERS),
    "of another issuer": token(iss="https://evil.example.com"),
    "for another audience": token(aud="grafana"),
    "expired": token(exp=int(time.time()) - 3_600),
    "not yet valid": token(nbf=int(time.time()) + 3_600),
    "without end": token(exp=None),
    "without a subject": token(sub=None),
    "unsigned": token(None, algorithm="none"),
    "signed with a shared secret": token("x" * 64, algorithm="HS256"),
    "of a key that nobody has": token(kid="k2"),
    "without a role": token(groups=["guests"]),
    "without groups": token(groups=None),
    "rubbish": "a.b.c",
    "huge": "a" * 7_000,
}


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED.keys())
async def test_any_other_token_is_refused_on_every_address(made: str, tmp_path: Path) -> None:
    async with page(oidc=oidc(tmp_path)) as client:
        for address in ("/", "/live/", "/incidents/incident-coder-7", "/incidents/incident-coder-7/chart", "/spend"):
            answer = await client.get(address, headers=bearing(made))
            assert answer.status == 403
            assert "coder-7" not in await answer.text()
        assert (await client.post("/incidents/incident-coder-7", headers=bearing(made))).status == 403


async def test_keys_that_cannot_be_read_let_nobody_in_and_are_read_again(tmp_path: Path) -> None:
    settings = oidc(tmp_path)
    keys = (tmp_path / "keys.json").read_text()
    (tmp_path / "keys.json").unlink()
    async with page(oidc=settings) as client:
        assert (await client.get("/", headers=bearing(token()))).status == 403
    (tmp_path / "keys.json").write_text(keys)
    async with page(oidc=settings) as client:
        assert (await client.get("/", headers=bearing(token()))).status == 200


async def test_the_issuers_keys_are_read_over_http(tmp_path: Path) -> None:
    from aiohttp import web

    settings = oidc(tmp_path)
    body = (tmp_path / "keys.json").read_text()
    asked = []

    async def keys(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/keys", keys)
    async with TestServer(app) as server:
        settings = {**settings, "jwks_file": None, "jwks_url": str(server.make_url("/keys"))}
        async with page(oidc=settings) as client:
            for _ in range(3):
                assert (await client.get("/", headers=bearing(token()))).status == 200
            assert (await client.get("/", headers=bearing(token(kid="k2")))).status == 403
    assert asked == ["/keys"], "an unknown key asks the issuer again at most every ten seconds"


async def test_every_answer_forbids_what_the_page_does_not_need() -> None:
    async with page() as client:
        for address in (
            "/",
            "/incidents",
            "/incidents/nope",
            "/spend",
            "/settings",
            "/incidents/incident-coder-7/chart",
        ):
            headers = (await client.get(address)).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["../page.py", "..%2fpage.py", "%2e%2e/page.py", "vendor/../../page.py", "/etc/passwd"]
)
async def test_no_file_but_the_pages_own_is_served(path: str) -> None:
    async with page() as client:
        answer = await client.get(f"/static/x/{path}")
        assert answer.status == 404
