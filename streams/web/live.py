"""Server-sent events: the part of a screen that changes, sent again whenever it has."""

import asyncio
from collections.abc import Callable
from zlib import crc32

from aiohttp import web

from streams.web.safety import HEADERS

EVERY_S = 2.0
SILENT_S = 15.0
STREAMS_MAX = 50
TURNS = 300
"""After ten minutes the browser connects again, and has to show who it is again."""


class Streams:
    """The open streams of this worker, at most `STREAMS_MAX`; they end when the service does."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.open = 0
        self._round = 0

    def cut(self) -> None:
        """End the open streams: whoever still may look connects again."""
        self._round += 1

    async def send(self, request: web.Request, render: Callable[[], str]) -> web.StreamResponse:
        """Send what `render` returns each time it differs, until the browser leaves."""
        if self.open >= STREAMS_MAX:
            return web.Response(
                status=503, text="Too many pages are open on this worker.", headers={"Retry-After": "5"}
            )
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        self.open += 1
        try:
            await self._loop(response, render)
        except ConnectionError:
            pass  # The browser has left.
        finally:
            self.open -= 1
        return response

    async def _loop(self, response: web.StreamResponse, render: Callable[[], str]) -> None:
        last, silent_s, this_round = 0, 0.0, self._round
        for _ in range(TURNS):
            if self.ending.is_set() or this_round != self._round:
                return
            text = render()
            mark = crc32(text.encode())
            if mark != last:
                await response.write(event(text))
                last, silent_s = mark, 0.0
            elif silent_s >= SILENT_S:
                await response.write(b": still here\n\n")
                silent_s = 0.0
            silent_s += EVERY_S
            try:
                async with asyncio.timeout(EVERY_S):
                    await self.ending.wait()
            except TimeoutError:
                pass

    async def end(self, _app: web.Application) -> None:
        """Let all streams end."""
        self.ending.set()


def event(text: str) -> bytes:
    r"""Write a message of the stream.

    >>> event("a\nb")
    b'data: a\ndata: b\n\n'
    """
    return b"".join(b"data: %b\n" % line.encode() for line in text.split("\n")) + b"\n"
