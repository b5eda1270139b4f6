"""The LiteLLM proxy's routes, and a provider behind them that says of each call that it took 5,000 tokens."""

import json
import uuid
from typing import Any

from aiohttp import web

SENT, WRITTEN = 3_000, 2_000
TOOK = SENT + WRITTEN
MESSAGES = [{"role": "user", "content": "x"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": MESSAGES, "max_tokens": 900},
    "/v1/completions": {"model": "m", "prompt": "x", "max_tokens": 900},
    "/v1/embeddings": {"model": "e", "input": "x"},
    "/v1/responses": {"model": "m", "input": "x", "max_output_tokens": 900},
    "/v1/messages": {"model": "m", "max_tokens": 900, "messages": MESSAGES},
    "/openai/v1/chat/completions": {"model": "m", "messages": MESSAGES, "max_tokens": 900},
}
STREAMS = [route for route in ROUTES if "embeddings" not in route]


class Provider:
    """Answers as OpenAI does on each route, at once or as a stream."""

    def __init__(self) -> None:
        self.calls = 0
        self.app = web.Application()
        self.app.router.add_route("*", "/{rest:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        body = await request.json()
        if request.path.endswith("/responses"):
            events = response_events(f"resp_{uuid.uuid4().hex}")
            whole = events[-1]["response"]
        else:
            whole = completion(body)
            events = chunks(whole)
        if not body.get("stream"):
            return web.json_response(whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            name = f"event: {event['type']}\n" if "type" in event else ""
            await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        if "type" not in events[0]:
            await response.write(b"data: [DONE]\n\n")
        return response


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """One answer for chat, text completions and embeddings."""
    usage = {"prompt_tokens": SENT, "completion_tokens": WRITTEN, "total_tokens": TOOK}
    if "input" in body:
        usage = {"prompt_tokens": TOOK, "total_tokens": TOOK}
    message = {"role": "assistant", "content": "y"}
    choice = {"index": 0, "message": message, "text": "y", "finish_reason": "stop"}
    data = [{"object": "embedding", "index": 0, "embedding": [0.0]}]
    head = {"id": uuid.uuid4().hex, "created": 1, "model": body["model"]}
    kind = "chat.completion" if "messages" in body else "text_completion"
    return {**head, "object": kind, "choices": [choice], "data": data, "usage": usage}


def chunks(whole: dict[str, Any]) -> list[dict[str, Any]]:
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    said = {"index": 0, "delta": {"role": "assistant", "content": "y"}, "text": "y", "finish_reason": None}
    end = {"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}
    usage = {"choices": [], "usage": whole["usage"]}
    return [{**head, "choices": [said]}, {**head, "choices": [end]}, {**head, **usage}]


def response_events(response_id: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": SENT, "output_tokens": WRITTEN, "total_tokens": TOOK}
    part = {"type": "output_text", "text": "y", "annotations": []}
    item = {"type": "message", "id": "o", "role": "assistant", "status": "completed", "content": [part]}
    begun = {
        "id": response_id, "object": "response", "created_at": 1, "model": "m", "parallel_tool_calls": False,
        "tool_choice": "auto", "tools": [], "status": "in_progress", "output": [], "usage": None,
    }  # fmt: skip
    done = {**begun, "status": "completed", "output": [item], "usage": usage}
    place = {"item_id": "o", "output_index": 0, "content_index": 0}
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": [], "status": ""}},
        {"type": "response.output_text.delta", **place, "delta": "y"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
