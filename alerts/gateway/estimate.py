"""What a call may take before it goes out, read from its request. Only numbers and names are kept."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .budget import OUTPUT_TOKENS, Load

BYTES_A_TOKEN = 3
"""Of a request, JSON and all: text has 4 a token, code 3; more tokens than there are must be thought, not fewer."""
_OUTPUT_FIELDS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")


class Request(Struct, frozen=True):
    """What a request's body says of its cost."""

    model: str
    load: Load


def read_request(content: bytes, path: str = "") -> Request:
    """Read a request's JSON; of anything else only the size is known."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    return request_of(body if isinstance(body, dict) else {}, len(content), path)


def request_of(body: Mapping[str, Any], size: int, path: str = "") -> Request:
    """Read a request that has been decoded; `size` is in bytes."""
    model = body.get("model")
    output = 0 if "embedding" in path else _output_tokens(body)
    return Request(model if isinstance(model, str) else "", Load(size // BYTES_A_TOKEN + 1, output))


def _output_tokens(body: Mapping[str, Any]) -> int:
    told = [body.get(field) for field in _OUTPUT_FIELDS]
    config = body.get("generationConfig")
    told.append(config.get("maxOutputTokens") if isinstance(config, dict) else None)
    most = next((each for each in told if type(each) is int and each >= 0), OUTPUT_TOKENS)
    copies = body.get("n")
    return most * copies if type(copies) is int and copies > 1 else most
