"""What a call took, read from the bodies of OpenAI, Anthropic and Gemini alike. Only numbers and names are kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

BYTES_A_TOKEN = 4
"""Of text in UTF-8, where nobody tells: near 4 in English, less in code and other scripts."""
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_DEPTH_MAX = 32


class Usage(Struct, frozen=True, kw_only=True, gc=False):
    """What a call took. `input_tokens` includes cached ones and those written to a cache, `output_tokens` reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def usage_of(found: Mapping[str, Any]) -> Usage:
    """Read a `usage` object.

    Anthropic counts what it read from a cache and wrote to one beside the input, the others count it within;
    Gemini counts thoughts beside the output.
    """
    inside = _dict(found.get("prompt_tokens_details") or found.get("input_tokens_details"))
    outside = _dict(found.get("completion_tokens_details") or found.get("output_tokens_details"))
    read, written = _int(found.get("cache_read_input_tokens")), _int(found.get("cache_creation_input_tokens"))
    told = next((name for name in ("prompt_tokens", "input_tokens", "promptTokenCount") if name in found), "")
    beside = 0 if told == "prompt_tokens" else read + written
    thoughts = _int(found.get("thoughtsTokenCount"))
    output = _int(found.get("completion_tokens")) or _int(found.get("output_tokens"))
    return Usage(
        input_tokens=_int(found.get(told)) + beside,
        output_tokens=output or _int(found.get("candidatesTokenCount")) + thoughts,
        cached_tokens=_int(inside.get("cached_tokens")) or read or _int(found.get("cachedContentTokenCount")),
        cache_write_tokens=written,
        reasoning_tokens=_int(outside.get("reasoning_tokens")) or thoughts,
    )


def most(first: Usage, second: Usage) -> Usage:
    """Merge what two events of a stream say: their counts only grow."""
    return Usage(**{name: max(getattr(first, name), getattr(second, name)) for name in _COUNTS})


def usage_within(body: Mapping[str, Any]) -> Usage | None:
    """Find the usage in a response or in an event of a stream; None if it says nothing of it."""
    for each in (body, _dict(body.get("response")), _dict(body.get("message"))):
        found = each.get("usage") or each.get("usageMetadata")
        if isinstance(found, dict):
            return usage_of(found)
    return None


def tool_calls(body: Mapping[str, Any]) -> int:
    """Count the calls of tools that a whole response asks for."""
    messages = [_dict(_dict(choice).get("message")) for choice in _list(body.get("choices"))]
    parts = [_dict(part) for part in (*_list(body.get("content")), *_list(body.get("output")))]
    asked = [part for part in parts if str(part.get("type", "")).endswith(("tool_use", "_call"))]
    return len(asked) + sum(len(_list(message.get("tool_calls"))) for message in messages)


def said_bytes(event: Mapping[str, Any]) -> int:
    """Count the bytes of text, thought and tool arguments that an event of a stream adds to the answer."""
    delta = event.get("delta")
    if isinstance(delta, str):
        return len(delta.encode("utf-8", "replace"))
    heard = [_strings(delta)] if isinstance(delta, dict) else []
    for choice in _list(event.get("choices")):
        given = _dict(choice)
        heard.append(_strings({"text": given.get("text"), **_dict(given.get("delta")), "role": None}))
    for candidate in _list(event.get("candidates")):
        heard.append(_strings(_dict(candidate).get("content")))
    return sum(heard)


def prompt_of(body: Mapping[str, Any]) -> list[Any]:
    """Return what a request says to the model, in any provider's fields."""
    names = ("system", "instructions", "messages", "input", "prompt", "contents", "tools")
    return [body[name] for name in names if body.get(name)]


def said_tokens(prompt: Any) -> int:
    """Estimate the tokens of a prompt from its text; images and files in it count nothing."""
    return -(-_strings(prompt) // BYTES_A_TOKEN)


_NOT_SAID = frozenset({"type", "id", "role", "signature", "index", "call_id", "tool_call_id", "data"})


def _strings(value: Any, depth: int = 0) -> int:
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value.encode("utf-8", "replace"))
    if depth >= _DEPTH_MAX:
        return 0
    if isinstance(value, dict):
        return sum(_strings(each, depth + 1) for name, each in value.items() if name not in _NOT_SAID)
    return sum(_strings(each, depth + 1) for each in _list(value))


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _int(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
