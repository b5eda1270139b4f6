"""Who is asking, and what they may do."""

from collections.abc import Sequence
from ipaddress import ip_address

from aiohttp import web
from msgspec import Struct

from alerts.clicks import RANKS, Role
from streams.settings.page import Page
from streams.web.oidc import Denied, Verifier

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


class Person(Struct, frozen=True):
    """Who looks at the page."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether this role or a higher one was given."""
        return RANKS[self.role] >= RANKS[role]


class Access:
    """Lets in who has a verified token, or without OIDC this machine alone."""

    def __init__(self, settings: Page) -> None:
        self._settings = settings
        self._verifier = None if settings.oidc is None else Verifier(settings.oidc)

    @property
    def behind_a_proxy(self) -> bool:
        """Whether a proxy signs people in, over HTTPS."""
        return self._verifier is not None

    async def person(self, request: web.Request) -> Person:
        """Return who is asking. Raises Denied with a sentence for them."""
        oidc = self._settings.oidc
        if oidc is None or self._verifier is None:
            if why := _not_local(request):
                raise Denied(why)
            return Person("local", self._settings.local_role)
        token = request.headers.get(oidc.header, "")
        claims = await self._verifier.claims(token.removeprefix("Bearer ").strip())
        role = _highest([oidc.roles[group] for group in _groups(claims.get(oidc.roles_claim)) if group in oidc.roles])
        if role is None:
            raise Denied("None of your groups has a role here: ask for one in page.oidc.roles.")
        name = claims.get(oidc.user_claim) or claims.get("sub") or ""
        return Person(str(name)[:128], role)


def _not_local(request: web.Request) -> str:
    """Say why a request can't be trusted to come from this machine; empty if it can."""
    if any(name in request.headers for name in FORWARDED):
        return "The page is behind a proxy, and page.oidc isn't set: it can't tell who you are."
    try:
        if not ip_address(request.remote or "").is_loopback:
            return "The page answers the machine that it runs on; set page.oidc to open it to others."
    except ValueError:
        return "The page can't tell where you are."
    # A name that somebody else's DNS resolves to this machine must not open it to their pages.
    host = request.host.rpartition(":")[0] if not request.host.endswith("]") and ":" in request.host else request.host
    if host.strip("[]") not in LOOPBACK_NAMES:
        return "Use http://127.0.0.1 or http://localhost as the address."
    return ""


def _groups(claim: object) -> Sequence[str]:
    if isinstance(claim, str):
        return [claim]
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []


def _highest(roles: list[Role]) -> Role | None:
    return max(roles, key=RANKS.__getitem__, default=None)
