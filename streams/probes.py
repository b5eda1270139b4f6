"""What machines ask of the service: /metrics, /healthz (is there progress) and /readyz (is it at work)."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from streams.metrics import Metrics

Troubles = Callable[[], Sequence[str]]
"""Returns what is wrong, a sentence each; nothing means well."""


def make_web(metrics: Metrics, stalled: Troubles, unready: Troubles) -> web.Application:
    """Make the application; `stalled` and `unready` are asked at each request and must not block.

    Health means progress, not a living process: 503 with the reasons while events wait and none is judged.
    """

    async def serve_metrics(request: web.Request) -> web.Response:
        body, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", serve_metrics)
    app.router.add_get("/healthz", _answering(stalled))
    app.router.add_get("/readyz", _answering(unready))
    return app


def _answering(troubles: Troubles) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        found = list(troubles())
        body = {"ok": not found, "troubles": found}
        return web.json_response(body, status=503 if found else 200, headers={"Cache-Control": "no-store"})

    return handle


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; return the runner (call `cleanup` to stop) and the port, which differs from `port` if that was 0.

    Raises OSError when the address is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])
