"""What a call may take before it goes out, read from its request. Only numbers and names are kept."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .budget import OUTPUT_TOKENS, Load

BYTES_A_TOKEN = 3
"""Of a request, JSON and all: text has 4 a token, code 3; more tokens than there are must be thought, not fewer."""
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that call no model."""
_MODEL_IN_PATH = re.compile(r"/(?:models|deployments|model)/([^/:]+(?::[0-9]+)?)[:/]")
"""As of Gemini (`/models/NAME:generateContent`), Azure (`/deployments/NAME/...`) and Bedrock (`/model/NAME/invoke`)."""
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
    if not isinstance(model, str) or not model:
        found = _MODEL_IN_PATH.search(path)
        model = found[1] if found else ""
    output = 0 if "embedding" in path else _output_tokens(body)
    return Request(model, Load(size // BYTES_A_TOKEN + 1, output, tools=_tools(body)))


def _tools(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tools that a request offers to its model, in any provider's form."""
    offered = [*_dicts(body.get("tools")), *_dicts(body.get("functions"))]
    config = body.get("toolConfig")
    offered += _dicts(config.get("tools")) if isinstance(config, dict) else []
    # Half a character, which JSON can bring, could be neither reported nor saved.
    names = (name.encode("utf-8", "replace").decode() for each in offered for name in _names(each))
    return tuple(dict.fromkeys(names))


def _names(tool: dict[str, Any]) -> Iterator[str]:
    for holder in (tool, tool.get("function"), tool.get("toolSpec"), *_dicts(tool.get("functionDeclarations"))):
        name = holder.get("name") if isinstance(holder, dict) else None
        if isinstance(name, str) and name:
            yield name
    kind = tool.get("type")
    if isinstance(kind, str) and kind != "function" and "name" not in tool:
        yield kind  # What the provider runs itself, such as a web search.


def _dicts(given: Any) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _output_tokens(body: Mapping[str, Any]) -> int:
    told = [body.get(field) for field in _OUTPUT_FIELDS]
    config = body.get("generationConfig")
    told.append(config.get("maxOutputTokens") if isinstance(config, dict) else None)
    most = next((each for each in told if type(each) is int and each >= 0), OUTPUT_TOKENS)
    copies = body.get("n")
    return most * copies if type(copies) is int and copies > 1 else most
