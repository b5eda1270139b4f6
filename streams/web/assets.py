"""The page's files: ours, and those that npm fetched when it was set up."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
VENDOR = ("htmx.min.js", "hx-sse.min.js", "uPlot.iife.min.js", "uPlot.min.css")
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


def vendor_missing(static: Path = STATIC) -> bool:
    """Tell whether the files of others aren't here: then nothing updates by itself and no chart is drawn."""
    return any(not (static / "vendor" / name).is_file() for name in VENDOR)


@cache
def address(name: str) -> str:
    """Return the address of a file, which changes with its content, so that browsers may keep it."""
    file = STATIC / name
    mark = sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else "none"
    return f"/static/{mark}/{name}"


async def serve(request: web.Request) -> web.StreamResponse:
    """Serve one of the files; nothing else of the folder, and nothing outside."""
    name = request.match_info["name"]
    file = STATIC / name
    if file.suffix not in TYPES or not file.resolve().is_relative_to(STATIC) or not file.is_file():
        raise web.HTTPNotFound(text="no such file")
    headers = {"Content-Type": f"{TYPES[file.suffix]}; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    fresh = request.match_info["mark"] == address(name).split("/")[2]
    headers["Cache-Control"] = FOR_EVER if fresh else "no-store"
    return web.Response(body=file.read_bytes(), headers=headers)
