"""Signed HTTP as a way in for clicks, for who can't use Socket Mode."""

import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from aiohttp import web

from alerts.clicks import SIGNATURE_LIFE_S, is_signed
from alerts.desk import Desk

REPLAYS_MAX = 10_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def slack_actions(desk: Desk, signing_secret: str, now_s: Callable[[], float]) -> Handler:
    """Return the handler of `POST /slack/actions`.

    A request that is forged, older than five minutes or repeated gets 401 and changes nothing.
    """
    used: dict[str, float] = {}

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if not is_signed(signing_secret, timestamp, body, signature, now_s()) or not _first(used, signature, now_s()):
            return web.Response(status=401)
        try:
            payload = json.loads(parse_qs(body.decode())["payload"][0])
        except (KeyError, ValueError):
            return web.Response(status=400)
        if not isinstance(payload, dict):
            return web.Response(status=400)
        answer = await desk.handle(payload)
        return web.json_response(answer) if answer else web.Response()

    return handle


def _first(used: dict[str, float], signature: str, now_s: float) -> bool:
    """Take a signature once in its life."""
    for old in [key for key, at_s in used.items() if now_s - at_s > 2 * SIGNATURE_LIFE_S]:
        del used[old]
    if signature in used or len(used) >= REPLAYS_MAX:
        return False
    used[signature] = now_s
    return True
