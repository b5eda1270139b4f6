"""A model provider for tests of gateways: it counts calls, says little, and streams at an even pace."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

CHUNK_EVERY_S = 0.05
CHUNKS_MAX = 1_200
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Provider:
    """Answers any POST as OpenAI's chat completions would."""

    def __init__(self) -> None:
        self.calls = 0
        self.app = web.Application()
        self.app.router.add_post("/{rest:.*}", self._answer)
        self.app.router.add_get("/", self._is_up)

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        """Serve on an address; raise OSError if it is taken."""
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield
        finally:
            await runner.cleanup()

    async def _is_up(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        try:
            body: Any = await request.json()
        except ValueError:
            body = {}
        asked = body if isinstance(body, dict) else {}
        head = {"id": f"chatcmpl-{self.calls}", "created": 1, "model": str(asked.get("model", ""))}
        if asked.get("stream"):
            return await self._stream(request, head)
        message = {"role": "assistant", "content": "yes"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    async def _stream(self, request: web.Request, head: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(CHUNKS_MAX):
            choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": None}
            chunk = json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})
            try:
                await response.write(b"data: " + chunk.encode() + b"\n\n")
            except ConnectionError:
                return response
            await asyncio.sleep(CHUNK_EVERY_S)
        await response.write(b"data: [DONE]\n\n")
        return response
