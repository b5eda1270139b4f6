"""What a call may take before it goes out, read from its request. Only numbers and names are kept."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from .budget import OUTPUT_TOKENS, USUAL, Load
from .identity import CHARS_MAX

BYTES_A_TOKEN = 3
"""Of a request, JSON and all: text has 4 a token, code 3; more tokens than there are must be thought, not fewer."""
COUNT_MAX = 10**8
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that call no model."""
_MODEL_IN_PATH = re.compile(r"/(?:models|deployments|model)/([^/:]+(?::[0-9]+)?)[:/]")
"""As of Gemini (`/models/NAME:generateContent`), Azure (`/deployments/NAME/...`) and Bedrock (`/model/NAME/invoke`)."""
_OUTPUT_FIELDS = (
    "max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample", "maxOutputTokens", "maxTokens",
)  # fmt: skip
_COPIES_FIELDS = ("n", "best_of", "candidateCount", "candidate_count")
_CONFIGS = ("generationConfig", "generation_config", "inferenceConfig")
"""Where Gemini and Bedrock have them."""
_DECLARATIONS = ("functionDeclarations", "function_declarations")


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
    if isinstance(body, dict) or not content:
        return request_of(body or {}, len(content), path)
    return unread(len(content), path)


def unread(size: int | None, path: str = "") -> Request:
    """Return what is known of a request whose body can't be read: it may offer any tool, whoever else can read it."""
    guess = USUAL.input_tokens * BYTES_A_TOKEN if size is None else size
    asked = request_of({}, guess, path)
    return Request(asked.model, structs.replace(asked.load, tools=None))


def request_of(body: Mapping[str, Any], size: int, path: str = "") -> Request:
    """Read a request that has been decoded; `size` is in bytes."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        found = _MODEL_IN_PATH.search(path)
        model = found[1] if found else ""
    output = 0 if "embedding" in path else _output_tokens(body)
    return Request(model[:CHARS_MAX], Load(size // BYTES_A_TOKEN + 1, output, tools=_tools(body)))


def _tools(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tools that a request offers to its model, in any provider's form."""
    offered = [*_dicts(body.get("tools")), *_dicts(body.get("functions"))]
    config = body.get("toolConfig")
    offered += _dicts(config.get("tools")) if isinstance(config, dict) else []
    # Half a character, which JSON can bring, could be neither reported nor saved.
    names = (name.encode("utf-8", "replace").decode() for each in offered for name in _names(each))
    return tuple(dict.fromkeys(names))


def _names(tool: dict[str, Any]) -> Iterator[str]:
    declared = [each for field in _DECLARATIONS for each in _dicts(tool.get(field))]
    for holder in (tool, tool.get("function"), tool.get("toolSpec"), *declared):
        name = holder.get("name") if isinstance(holder, dict) else None
        if isinstance(name, str) and name:
            yield name
    # What the provider runs itself, such as a web search: OpenAI's have a type, Gemini's are a field by that name.
    kind = tool.get("type")
    if isinstance(kind, str) and kind != "function" and "name" not in tool:
        yield kind
    elif kind is None and "name" not in tool:
        yield from (field for field in tool if field not in (*_DECLARATIONS, "function", "toolSpec"))


def _dicts(given: Any) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _output_tokens(body: Mapping[str, Any]) -> int:
    """Return the most that is told anywhere: which of two fields counts, the provider knows."""
    places = [body, *_dicts([body.get(config) for config in _CONFIGS])]
    most = max(_counts(places, _OUTPUT_FIELDS), default=OUTPUT_TOKENS)
    return most * max([1, *_counts(places, _COPIES_FIELDS)])


def _counts(places: Iterable[Mapping[str, Any]], fields: tuple[str, ...]) -> list[int]:
    told = [_count(place.get(field)) for place in places for field in fields]
    return [each for each in told if each is not None]


def _count(told: Any) -> int | None:
    """Read a count as the laxest provider does: from 9.0 and "9" as well."""
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        count = min(float(told), COUNT_MAX)
    except ValueError:
        return None
    except OverflowError:
        return COUNT_MAX
    return int(count) if count >= 0 else None
