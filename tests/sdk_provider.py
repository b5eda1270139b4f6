"""A provider that the OpenAI and Anthropic SDKs understand: it counts calls, and streams chunks as it is told to."""

import asyncio
import json
from typing import Any

from aiohttp import web

MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


class SdkProvider:
    """Serves /v1/chat/completions and /v1/messages."""

    def __init__(self) -> None:
        self.calls = 0
        self.next = asyncio.Semaphore(0)
        self.app = web.Application()
        self.app.router.add_post("/v1/chat/completions", self._chat)
        self.app.router.add_post("/v1/messages", self._message)
        self.app.router.add_post("/v1/chat", self._chat)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, CHAT, self._chat_chunk, [])

    async def _message(self, request: web.Request) -> web.StreamResponse:
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        start = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
        return await self._answer(request, MESSAGE, self._message_chunk, [start, block])

    async def _answer(
        self, request: web.Request, whole: Any, chunk: Any, beginning: list[dict[str, Any]]
    ) -> web.StreamResponse:
        self.calls += 1
        if not (await request.json()).get("stream"):
            return web.json_response(whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in beginning:
            await response.write(_sse(event))
        for number in range(1000):
            await self.next.acquire()
            await response.write(_sse(chunk(f"{number} ")))
        return response

    @staticmethod
    def _chat_chunk(text: str) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    @staticmethod
    def _message_chunk(text: str) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def _sse(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()
