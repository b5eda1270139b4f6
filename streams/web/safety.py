"""What protects who looks: headers, and the proof that a form was sent from this page."""

import hmac
import secrets
from collections.abc import Mapping

from aiohttp import web

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
COOKIE = "brakeline_form"
FIELD = "form_token"


def token_of(request: web.Request) -> str:
    """Return the browser's form token, a new one if it has none."""
    held = request.cookies.get(COOKIE, "")
    return held if len(held) == 43 else secrets.token_urlsafe(32)


def keep_token(response: web.StreamResponse, token: str, *, secure: bool) -> None:
    """Give the browser its token; no other site can read it, and none can have it sent."""
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=secure, path="/")


def forged(request: web.Request, sent: str) -> str:
    """Say why a form can't be trusted to come from this page; empty if it can.

    Browsers say where a request comes from (Sec-Fetch-Site, or Origin in old ones); the token in the form must also
    be the one in the cookie.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return f"it was sent from another place ({site[:20]})"
    if site is None and request.headers.get("Origin", "").partition("://")[2] != request.host:
        return "the browser doesn't say where it was sent from"
    held = request.cookies.get(COOKIE, "")
    if not held or not hmac.compare_digest(held.encode(), sent.encode()):
        return "its token isn't this browser's: load the page again"
    return ""
