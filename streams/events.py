"""The canonical token event: its wire form, its bounds, and why a record is refused."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from streams.validation import Rejected

RECORD_BYTES_MAX = 1 << 20

Count = Annotated[int, Meta(ge=0, le=10**9)]
Text = Annotated[str, Meta(max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class TokenEvent(Struct, frozen=True, gc=False, kw_only=True):
    """One finished model call, as a gateway or a collector reports it.

    `ts` is the end of the call in Unix seconds. `input_tokens` includes `cached_tokens` and
    `cache_write_tokens`, `output_tokens` includes `reasoning_tokens`. `gateway` is the id by which
    the gateway reports what it obeys. There is no field for prompt text. In the order in which most write them:
    the decoder looks for the next first.
    """

    event_id: Name
    ts: float
    agent: str
    team: str = ""
    model: Name
    input_tokens: Count
    output_tokens: Count
    cached_tokens: Count = 0
    run_id: str | None = None
    step: Annotated[int, Meta(ge=0, le=10**7)] = 0
    parent_run_id: str | None = None
    status: str = "ok"
    latency_ms: Annotated[float, Meta(ge=0, le=10**8)] = 0.0
    product: Text | None = None
    environment: Text | None = None
    use_case: Text | None = None
    user: Text | None = None
    workflow: Text | None = None
    provider: Text | None = None
    cost_usd: Annotated[float, Meta(ge=0, le=10**6)] | None = None
    reasoning_tokens: Count = 0
    cache_write_tokens: Count = 0
    tool_calls: Count = 0
    prompt_hash: Text | None = None
    cost_center: Text | None = None
    gateway: Text | None = None


decode_one = msgspec.json.Decoder(TokenEvent).decode
"""Read a record that is one object; raises what msgspec raises."""
_many = msgspec.json.Decoder(list[TokenEvent])
_raws = msgspec.json.Decoder(list[Raw])


def decode(value: bytes | None) -> list[TokenEvent | Rejected]:
    """Return the events of one record: an object, or an array of objects of which each stands for itself.

    >>> decode(b"[]")
    []
    >>> decode(b"{}")
    [Rejected('malformed: Object missing required field `event_id`')]
    """
    if value is None:
        return [Rejected("null_value", "the record has no value: send one JSON object a record")]
    if len(value) > RECORD_BYTES_MAX:
        return [Rejected("too_large", f"{len(value)} bytes, at most {RECORD_BYTES_MAX}: send fewer events a record")]
    try:
        if value[:1] != b"[":
            return [decode_one(value)]
        return list(_many.decode(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if value[:1] == b"[":
            return list(_decode_each(value))
        return [_malformed(error)]


def _decode_each(value: bytes) -> Iterator[TokenEvent | Rejected]:
    try:
        raws = _raws.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        yield _malformed(error)
        return
    for raw in raws:
        try:
            yield decode_one(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield _malformed(error)


def _malformed(error: Exception) -> Rejected:
    if isinstance(error, RecursionError):
        return Rejected("malformed", "nested too deep: send a flat JSON object")
    return Rejected("malformed", str(error))
