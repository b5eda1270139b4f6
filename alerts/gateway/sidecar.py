"""The sidecar: one endpoint that nginx, Envoy, Traefik, Caddy and Kong can ask before each call."""

import json
import time
from collections.abc import Callable, Mapping

from aiohttp import web
from msgspec import Struct

from .feed import Feed
from .guard import Guard
from .identity import Answer, Identity, denial_body, denial_headers
from .metrics import Checks

FIELDS = ("agent", "team", "claimed_agent", "claimed_team", "workflow", "run", "parents", "model")


class HeaderNames(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which request header carries what; an empty name means that none does.

    `agent` and `team` must be set by the gateway itself after authentication; it must strip them from requests.
    `parents` lists run ids, nearest first, separated by commas.
    """

    agent: str = "x-brakeline-agent"
    team: str = "x-brakeline-team"
    claimed_agent: str = "x-claimed-agent"
    claimed_team: str = "x-claimed-team"
    workflow: str = "x-workflow-id"
    run: str = "x-run-id"
    parents: str = "x-parent-run-ids"
    model: str = "x-model"


def identity_of(headers: Mapping[str, str], names: HeaderNames) -> Identity:
    """Read who is calling; values longer than any id are cut."""
    found = {field: headers.get(name, "").strip()[:512] for field in FIELDS if (name := getattr(names, field))}
    parents = tuple(part.strip() for part in found.pop("parents", "").split(",") if part.strip())
    return Identity(parents=parents[:32], **found)


class Sidecar:
    """Answers 200 or 403 and nothing else: any other status is an error to nginx and a refusal to Envoy."""

    def __init__(
        self,
        guard: Guard,
        feed: Feed | None = None,
        *,
        names: HeaderNames | None = None,
        release_url: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.guard = guard
        self.checks = Checks("sidecar")
        self._feed = feed
        self._names = names or HeaderNames()
        self._release_url = release_url
        self._clock = clock

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=1024)
        app.router.add_route("*", "/check", self._check)
        app.router.add_route("*", "/check/{rest:.*}", self._check)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _check(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        answer = self.guard.check(identity_of(request.headers, self._names), self._clock())
        self.checks.note(answer, time.perf_counter() - started)
        if self._feed is not None and not answer.allowed:
            self._feed.denied_calls += 1
        return self._refusal(answer) if not answer.allowed else self._consent(answer)

    def _refusal(self, answer: Answer) -> web.Response:
        body = denial_body(answer, self._release_url)
        # For proxies that drop a checker's body, as nginx does: headers are ASCII.
        in_header = json.dumps(json.loads(body), separators=(",", ":"))
        return web.Response(status=403, body=body, headers={**denial_headers(answer), "x-brakeline-body": in_header})

    def _consent(self, answer: Answer) -> web.Response:
        headers = {"cache-control": "no-store"}
        if answer.model:
            headers["x-brakeline-model"] = answer.model
        return web.Response(status=200, headers=headers)

    async def _ready(self, _: web.Request) -> web.Response:
        now_s = self._clock()
        return web.json_response({"state": self.guard.health(now_s)}, status=200 if self.guard.ready(now_s) else 503)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        text = self.checks.render(self.guard, self._clock())
        return web.Response(body=text, headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})
