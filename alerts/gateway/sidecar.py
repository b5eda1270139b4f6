"""The sidecar: one endpoint that nginx, Envoy, Traefik, Caddy and Kong can ask before each call."""

import json
import time
from collections.abc import Callable
from itertools import islice
from uuid import uuid4

from aiohttp import web

from .admission import Admission
from .feed import Feed
from .gate import Gate
from .guard import Guard
from .headers import HeaderNames, identity_of, load_of
from .identity import Answer
from .metrics import Checks
from .usage import usage_of

RESERVED_S = 600.0
RESERVED_MAX = 100_000
TICKET = "x-brakeline-ticket"


class Sidecar:
    """Answers 200 or 403 and nothing else: any other status is an error to nginx and a refusal to Envoy.

    Where limits hold, a consent names a ticket: `POST /settle` with `{"ticket": ..., "usage": {...}}`, the provider's
    usage as it is, replaces what was reserved by what was used. A call that is not settled within 10 minutes, or whose
    usage isn't told, stays counted at its estimate; `{}` is the usage of one that failed.
    """

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
        self._clock = clock
        self._gate = Gate(guard, feed, release_url=release_url, clock=clock, note=self.checks.note)
        self._open: dict[str, tuple[float, Admission]] = {}

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=16 * 1024)
        app.router.add_route("*", "/check", self._check)
        app.router.add_route("*", "/check/{rest:.*}", self._check)
        app.router.add_post("/settle", self._settle)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _check(self, request: web.Request) -> web.Response:
        call = self._gate.begin(identity_of(request.headers, self._names), load_of(request.headers, self._names))
        if not call.answer.allowed:
            return self._refusal(call.answer)
        return self._consent(call)

    def _refusal(self, answer: Answer) -> web.Response:
        body, headers = self._gate.refusal(answer)
        # For proxies that drop a checker's body, as nginx does: headers are ASCII.
        in_header = json.dumps(json.loads(body), separators=(",", ":"))
        return web.Response(status=403, body=body, headers={**headers, "x-brakeline-body": in_header})

    def _consent(self, call: Admission) -> web.Response:
        headers = {"cache-control": "no-store"}
        if call.answer.model:
            headers["x-brakeline-model"] = call.answer.model
        if call.answer.ticket is not None:
            headers[TICKET] = self._keep(call)
        return web.Response(status=200, headers=headers)

    def _keep(self, call: Admission) -> str:
        now_s = self._clock()
        for old in list(islice(self._open, 2)):
            if now_s - self._open[old][0] > RESERVED_S or len(self._open) >= RESERVED_MAX:
                del self._open[old]
        name = uuid4().hex
        self._open[name] = now_s, call
        return name

    async def _settle(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            name = str(body["ticket"])
            told = body.get("usage")
            usage = None if told is None else usage_of(told)
        except (ValueError, KeyError, AttributeError, TypeError):
            return web.json_response({"error": 'send {"ticket": "...", "usage": {...}}'}, status=400)
        _, call = self._open.pop(name, (0.0, None))
        if call is None:
            return web.json_response({"error": "no such ticket: settled, or older than 10 minutes"}, status=404)
        call.lose() if usage is None else call.settle(usage)
        return web.json_response({"settled": True})

    async def _ready(self, _: web.Request) -> web.Response:
        now_s = self._clock()
        trouble = "" if self._feed is None else self._feed.trouble
        content = {"state": self.guard.health(now_s), **({"trouble": trouble} if trouble else {})}
        return web.json_response(content, status=200 if self.guard.ready(now_s) else 503)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        text = self.checks.render(self.guard, self._clock())
        return web.Response(body=text, headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})
