"""Against an issuer as they are: discovery, keys that rotate, clocks that differ, and the proxies in front."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import ec
from oidc_provider import ARN, Provider, proxy, rsa_key, settings_of
from pages import Filled, runaway, serving

from streams.settings import Settings
from streams.settings.page import Oidc
from streams.web.oidc import AGAIN_S, FRESH_S, Denied, Verifier


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    async with serving(made.app()) as url:
        made.url = url
        yield made


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def verifier(provider: Provider, clock: Clock | None = None, **changes: Any) -> Verifier:
    return Verifier(Oidc.model_validate(settings_of(provider, **changes)), clock or Clock())


async def refused(verifying: Verifier, token: str) -> str:
    with pytest.raises(Denied) as raised:
        await verifying.claims(token)
    return str(raised.value)


async def test_keys_are_found_by_discovery_and_read_once(provider: Provider) -> None:
    verifying = verifier(provider)
    for _ in range(3):
        assert (await verifying.claims(provider.token()))["email"] == "alice@example.com"
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_a_key_that_was_rotated_in_is_taken_and_one_rotated_out_is_not(provider: Provider) -> None:
    clock = Clock()
    verifying, old = verifier(provider, clock), provider.token()
    await verifying.claims(old)
    provider.keys = {"k2": rsa_key()}
    assert "no key 'k2'" in await refused(verifying, provider.token("k2")), "asked just now"
    clock.now_s += AGAIN_S + 1
    await verifying.claims(provider.token("k2"))
    assert "no key 'k1'" in await refused(verifying, old)


async def test_a_key_withdrawn_without_a_new_one_is_refused_within_the_hour(provider: Provider) -> None:
    clock = Clock()
    provider.keys["k2"] = rsa_key()
    verifying, token = verifier(provider, clock), provider.token()
    await verifying.claims(token)
    del provider.keys["k1"]
    clock.now_s += FRESH_S + 1
    assert "no key 'k1'" in await refused(verifying, token)


async def test_an_issuer_that_is_down_for_a_while_locks_out_nobody_who_came_before(provider: Provider) -> None:
    clock = Clock()
    verifying = verifier(provider, clock)
    await verifying.claims(provider.token())
    provider.status = 503
    clock.now_s += FRESH_S + 1
    await verifying.claims(provider.token())


async def test_an_issuer_that_is_down_from_the_start_is_said_and_asked_again_soon(provider: Provider) -> None:
    clock = Clock()
    provider.status = 503
    verifying = verifier(provider, clock)
    assert "openid-configuration answers 503" in await refused(verifying, provider.token())
    provider.status = 200
    clock.now_s += AGAIN_S
    await verifying.claims(provider.token())


@pytest.mark.parametrize(
    ("discovery", "why"),
    [({"issuer": "https://evil.example.com"}, "another issuer"), ({"jwks_uri": 7}, "can't be read")],
)
async def test_a_discovery_document_that_does_not_fit_is_not_followed(
    provider: Provider, discovery: dict[str, Any], why: str
) -> None:
    provider.discovery = discovery
    assert why in await refused(verifier(provider), provider.token())


def wrong(provider: Provider) -> dict[str, tuple[str, str]]:
    now_s, own = int(time.time()), provider.keys["k1"]
    return {
        "another's issuer": (provider.token(iss="https://evil.example.com"), "issuer"),
        "another's audience": (provider.token(aud=["grafana"]), "Audience"),
        "no audience": (provider.token(aud=None), "aud"),
        "expired": (provider.token(exp=now_s - 31), "expired"),
        "not yet valid": (provider.token(nbf=now_s + 90), "not yet valid"),
        "issued in the future": (provider.token(iat=now_s + 90), "not yet valid"),
        "for ever": (provider.token(exp=None), "exp"),
        "unsigned": (jwt.encode({"iss": provider.url}, None, "none", headers={"kid": "k1"}), "alg"),
        "by a secret that is the public key": (
            jwt.encode({"iss": provider.url}, b"x" * 64, "HS256", headers={"kid": "k1"}), "alg",
        ),
        "by a key of the same name": (provider.token(key=rsa_key()), "Signature"),
        "cut": (provider.token(key=own)[:-9], "padding"),
    }  # fmt: skip


async def test_whatever_is_not_for_us_now_is_refused_and_why_is_said(provider: Provider) -> None:
    verifying = verifier(provider)
    for name, (token, why) in wrong(provider).items():
        said = await refused(verifying, token)
        assert why.lower() in said.lower(), f"{name}: {said}"


async def test_clocks_may_differ_by_half_a_minute(provider: Provider) -> None:
    verifying, now_s = verifier(provider), int(time.time())
    for changes in ({"nbf": now_s + 25}, {"iat": now_s + 25}, {"exp": now_s - 25}):
        await verifying.claims(provider.token(**changes))


async def test_keys_that_are_not_for_signatures_sign_nothing(provider: Provider, monkeypatch: Any) -> None:
    import oidc_provider

    plain = oidc_provider._jwk
    monkeypatch.setattr(oidc_provider, "_jwk", lambda kid, key: plain(kid, key) | {"use": "enc"})
    assert "no key" in await refused(verifier(provider), provider.token())


def balanced(provider: Provider) -> Verifier:
    provider.keys = {"0f3a-1": ec.generate_private_key(ec.SECP256R1())}
    return verifier(provider, audience=None, signer=ARN, jwks_url=f"{provider.url}/pem/{{kid}}")


async def test_a_load_balancers_token_has_a_signer_for_an_audience_and_keys_one_by_one(provider: Provider) -> None:
    verifying = balanced(provider)
    token = provider.token("0f3a-1", aud=None, iat=None)
    for _ in range(2):
        assert (await verifying.claims(token))["sub"] == "u1"
    assert provider.asked == ["/pem/0f3a-1"]


@pytest.mark.parametrize("kid", ["../keys", "a/b", "http://evil.example.com", "", "a" * 200])
async def test_no_name_of_a_key_leads_anywhere_else(provider: Provider, kid: str) -> None:
    verifying = balanced(provider)
    assert "no name of a key" in await refused(verifying, provider.token(kid, provider.keys["0f3a-1"]))
    assert provider.asked == []


async def test_another_load_balancers_token_is_refused(provider: Provider) -> None:
    verifying, key = balanced(provider), provider.keys["0f3a-1"]
    claims = {"iss": provider.url, "sub": "u1", "exp": int(time.time()) + 60}
    other = jwt.encode(claims, key, "ES256", headers={"kid": "0f3a-1", "signer": "arn:aws:other"})  # type: ignore[arg-type]
    assert "signed for 'arn:aws:other'" in await refused(verifying, other)


@asynccontextmanager
async def behind(provider: Provider, header: str, value: str, **changes: Any) -> AsyncIterator[tuple[Filled, str]]:
    filled = Filled()
    runaway(filled)
    oidc = settings_of(provider, header=header, **changes)
    app = filled.app(Settings.model_validate({"page": {"oidc": oidc}}))
    async with serving(app) as page, proxy(page, header, value) as url:
        yield filled, url


@pytest.mark.parametrize(
    ("header", "prefix"),
    [("Authorization", "Bearer "), ("X-Forwarded-Access-Token", ""), ("X-Amzn-Oidc-Data", "")],
)
async def test_behind_a_proxy_whoever_it_signs_in_may_release_whatever_else_they_claim(
    provider: Provider, header: str, prefix: str
) -> None:
    async with behind(provider, header, prefix + provider.token()) as (filled, url), ClientSession() as client:
        claimed = {header: prefix + provider.token(email="root@example.com", groups=["admins"])}
        async with client.get(f"{url}/incidents/incident-coder-7", headers=claimed) as answer:
            text = await answer.text()
        assert "alice@example.com<small>operator</small>" in text
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
        cookie = {"Cookie": f"brakeline_form={fields['form_token']}", "Sec-Fetch-Site": "same-origin"}
        sent = fields | {"verb": "release", "reason": "mended"}
        async with client.post(
            f"{url}/incidents/incident-coder-7", data=sent, headers=cookie, allow_redirects=False
        ) as answer:
            assert answer.status == 303, await answer.text()
    assert [(made.actor, made.reason) for made in filled.decisions] == [("page:alice@example.com", "mended")]


async def test_a_viewer_behind_a_proxy_sees_and_changes_nothing(provider: Provider) -> None:
    token = provider.token(groups=["everybody"])
    async with behind(provider, "Authorization", f"Bearer {token}") as (filled, url), ClientSession() as client:
        async with client.get(f"{url}/incidents/incident-coder-7") as answer:
            text = await answer.text()
        assert "an operator can release" in text
        assert "<form" not in text
    assert filled.decisions == []
