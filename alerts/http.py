"""One attempt to POST JSON, with every failure in the words of a sink."""

import asyncio
from collections.abc import Mapping

import aiohttp

from alerts.sink import NotSent, RateLimited, Refused, Uncertain

TIMEOUT_S = 10.0
NEVER_TAKEN = frozenset({400, 410, 413, 415, 422})


async def post_json(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """POST `body`; returns on a 2xx, raises a `SinkError` otherwise. Redirects are not followed."""
    sent = {"Content-Type": "application/json", "User-Agent": "brakeline", **headers}
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            _judge(response.status, response.headers.get("Retry-After", ""))
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise NotSent(f"no connection: {error}") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Uncertain(f"{type(error).__name__}: {error}") from error


def _judge(status: int, retry_after: str) -> None:
    if 200 <= status < 300:
        return
    if status == 429:
        raise RateLimited(float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 30.0)
    if status in NEVER_TAKEN:
        raise Refused(f"answered {status}")
    if status >= 500:
        raise Uncertain(f"answered {status}")
    raise NotSent(f"answered {status}")
