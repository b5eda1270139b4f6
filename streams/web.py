"""The service's own pages: /metrics, and /healthz, which means progress."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def make_web(
    registry: CollectorRegistry, refresh: Callable[[], None], trouble: Callable[[], str | None]
) -> web.Application:
    """Return the application. `refresh` updates gauges, `trouble` says what holds progress back, or None."""

    async def metrics(request: web.Request) -> web.Response:
        refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        found = trouble()
        return web.json_response({"ok": found is None, "trouble": found}, status=200 if found is None else 503)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    return app
