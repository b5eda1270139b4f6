"""The canonical token event: its wire form, its bounds, and why a record is refused."""

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

RECORD_BYTES_MAX = 1 << 20
LATE_INGEST_S = 24 * 3600.0
EARLY_INGEST_S = 300.0

Count = Annotated[int, Meta(ge=0, le=10**9)]
Text = Annotated[str, Meta(max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]

_NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,128}\Z")
_STATUS = re.compile(r"(ok|timeout|partial|cancelled|error|error_[a-z0-9_]{1,32})\Z")


class TokenEvent(Struct, frozen=True, gc=False, kw_only=True):
    """One finished model call, as a gateway or a collector reports it.

    `ts` is the end of the call in Unix seconds. `input_tokens` includes `cached_tokens` and
    `cache_write_tokens`, `output_tokens` includes `reasoning_tokens`. `gateway` is the id by which
    the gateway reports what it obeys. There is no field for prompt text.
    """

    event_id: Name
    ts: float
    agent: str
    model: Name
    input_tokens: Count
    output_tokens: Count
    team: str = ""
    cached_tokens: Count = 0
    run_id: str | None = None
    parent_run_id: str | None = None
    step: Annotated[int, Meta(ge=0, le=10**7)] = 0
    status: str = "ok"
    latency_ms: Annotated[float, Meta(ge=0, le=10**8)] = 0.0
    product: Text | None = None
    environment: Text | None = None
    use_case: Text | None = None
    user: Text | None = None
    workflow: Text | None = None
    provider: Text | None = None
    cost_center: Text | None = None
    cost_usd: Annotated[float, Meta(ge=0, le=10**6)] | None = None
    reasoning_tokens: Count = 0
    cache_write_tokens: Count = 0
    tool_calls: Count = 0
    prompt_hash: Text | None = None
    gateway: Text | None = None


class Rejected(Exception):
    """A record or event that can't be used; `reason` is the quarantine's label, `detail` names field and mend."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_one = msgspec.json.Decoder(TokenEvent)
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
            return [_one.decode(value)]
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
            yield _one.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield _malformed(error)


def _malformed(error: Exception) -> Rejected:
    if isinstance(error, RecursionError):
        return Rejected("malformed", "nested too deep: send a flat JSON object")
    return Rejected("malformed", str(error))


class Validator:
    """Checks what the decoder can't: names, status, sums and times. Names it has passed are remembered.

    The memory is bounded: `names_max` distinct names, then it starts anew (the check itself stays exact).
    """

    def __init__(self, names_max: int = 200_000) -> None:
        self._names_max = names_max
        self._names: set[str] = {""}
        self._statuses: set[str] = {"ok"}

    def check(self, event: TokenEvent, append_s: float) -> Rejected | None:
        """Return why `event`, appended at `append_s` (Unix seconds), can't be used; None if it can."""
        names = self._names
        if not event.agent:
            return Rejected("no_agent", "agent is empty: name the agent that made the call")
        # Spelled out: this is asked of every event, and nearly all names are known.
        if event.agent not in names and (bad := self._learn("agent", event.agent)):
            return bad
        if event.team not in names and (bad := self._learn("team", event.team)):
            return bad
        if event.run_id is not None and event.run_id not in names and (bad := self._learn("run_id", event.run_id)):
            return bad
        parent = event.parent_run_id
        if parent is not None and parent not in names and (bad := self._learn("parent_run_id", parent)):
            return bad
        if event.model not in names and (bad := self._learn("model", event.model)):
            return bad
        return self._check_rest(event, append_s)

    def _check_rest(self, event: TokenEvent, append_s: float) -> Rejected | None:
        if event.status not in self._statuses:
            if not _STATUS.match(event.status):
                return Rejected(
                    "bad_status", f"status is {event.status[:40]!r}: use ok, timeout, partial, cancelled, error_*"
                )
            self._statuses.add(event.status)
        if event.cached_tokens > event.input_tokens:
            return Rejected(
                "bad_tokens",
                f"cached_tokens {event.cached_tokens} exceeds input_tokens {event.input_tokens}: input includes cached",
            )
        if not append_s - LATE_INGEST_S <= event.ts <= append_s + EARLY_INGEST_S:
            return Rejected(
                "bad_ts", f"ts is {event.ts:.0f}, appended at {append_s:.0f}: send Unix seconds, at most 24 h old"
            )
        return None

    def _learn(self, field: str, name: str) -> Rejected | None:
        if not _NAME.match(name):
            return Rejected("bad_name", f"{field} is {name[:40]!r}: use 1 to 128 of A-Z a-z 0-9 . _ : / @ -")
        if len(self._names) >= self._names_max:
            self._names = {""}
        self._names.add(name)
        return None
