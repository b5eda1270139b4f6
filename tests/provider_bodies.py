"""Answers in the shape of the providers', for tests of what they took."""

from typing import Any

CHAT_ID, MESSAGE_ID = "chatcmpl-Bx1y2z3a4b5c6d7e8f9g0h1i2j3k4", "msg_01XFDUDYJgAACzvnptvVoYEL"
CHAT = {
    "id": CHAT_ID, "object": "chat.completion", "created": 1, "model": "gpt-5-2025-08-07",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }}],
    "usage": {
        "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
    },
}  # fmt: skip
RESPONSES = {
    "id": "resp_68af4030baa48193b0b43b4c2a176a1a", "object": "response", "status": "completed", "model": "gpt-5",
    "output": [{"type": "reasoning", "id": "rs_1"}, {"type": "function_call", "id": "fc_1", "name": "look"}],
    "usage": {
        "input_tokens": 75, "input_tokens_details": {"cached_tokens": 64}, "output_tokens": 1186,
        "output_tokens_details": {"reasoning_tokens": 1024}, "total_tokens": 1261,
    },
}  # fmt: skip
EMBEDDINGS = {
    "object": "list", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8},
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": MESSAGE_ID, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Well."}, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}],
    "usage": {
        "input_tokens": 50, "cache_creation_input_tokens": 248, "cache_read_input_tokens": 1800, "output_tokens": 503,
    },
}  # fmt: skip
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "Well."}], "role": "model"}}], "modelVersion": "gemini-2.5-pro",
    "responseId": "6FbTaLqSGZ-1vdIPzO2l4QM", "usageMetadata": {
        "promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "cachedContentTokenCount": 40,
    },
}  # fmt: skip

ANTHROPIC = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": {**MESSAGE["usage"], "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "look"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 80}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 503}},
    {"type": "message_stop"},
]


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "delta": {"role": "assistant", "content": text}}]
    return {"id": CHAT_ID, "object": "chat.completion.chunk", "model": "gpt-5", "choices": choices, **more}
