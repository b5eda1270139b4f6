"""A gateway as a source of events: follows calls from their request to their end, and reports what they took."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from .emitter import Emitter, Pending
from .events import Event, call_id, event_of, failed, prompt_hash
from .feed import FeedSettings
from .identity import Identity
from .meter import Meter
from .usage import prompt_of, said_tokens

_COUNTING = ("/count_tokens", "/input_tokens", ":countTokens")


class Source:
    """Reports calls to `put`. With a `prompt_key` each event carries a hash of the prompt made with it."""

    def __init__(
        self,
        put: Callable[[Pending], None],
        gateway: str = "",
        *,
        prompt_key: bytes = b"",
        clock: Callable[[], float] = time.time,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.put = put
        self.close = close
        self.gateway = gateway
        self.prompt_key = prompt_key
        self.clock = clock

    def call(self, who: Identity, method: str, path: str, content: bytes) -> "Call | None":
        """Follow a call; None for one that can't use tokens. `content` is the request's body, empty if unknown."""
        if method != "POST" or path.endswith(_COUNTING):
            return None
        return Call(self, who, content)


def source_of(settings: FeedSettings) -> Source | None:
    """Return a source that reports to Kafka until it is closed; None where no topic is named."""
    if not settings.events_topic:
        return None
    emitter = Emitter(settings.client, settings.events_topic)
    return Source(emitter.put, settings.gateway_id, prompt_key=settings.prompt_key, close=emitter.close)


class Call:
    """One call over HTTP. What of it needs reading is read later, in the emitter's thread."""

    def __init__(self, source: Source, who: Identity, content: bytes) -> None:
        self._source = source
        self._who = who
        self._content = content
        self._began_s = source.clock()
        self._meter = Meter({})
        self._code = 0
        self._ended = False

    def answered(self, code: int, headers: Mapping[str, str]) -> None:
        """Take in the head of the response."""
        self._code = code
        self._meter = Meter(headers)

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk of the response."""
        self._meter.feed(chunk)

    def end(self, status: str = "ok") -> None:
        """Report the call; a second time changes nothing. `cancelled` is of one that its caller gave up."""
        if self._ended:
            return
        self._ended = True
        if status == "cancelled" and self._meter.finished:
            status = "ok"
        ended_s = self._source.clock()
        self._source.put(lambda: self._event(status, ended_s))

    def _event(self, status: str, ended_s: float) -> Event | None:
        meter = self._meter
        meter.end()
        known = meter.told is not None and meter.model and not self._source.prompt_key
        body = {} if known else _body_of(self._content)
        model = body.get("model")
        if self._code >= 400:
            status = failed(str(self._code))
        elif meter.error:
            status = failed(meter.error)
        whole = status == "ok" and not meter.streams
        if meter.told is None and (whole or not isinstance(model, str)):
            # Not a call of a model, or one that is free: those say what they took.
            return None
        prompt = prompt_of(body)
        return event_of(
            self._who,
            meter.usage(said_tokens(prompt) if 200 <= self._code < 300 else 0),
            event_id=call_id(meter.answer_id, uuid4().hex),
            ended_s=ended_s,
            latency_s=ended_s - self._began_s,
            model=meter.model or (model if isinstance(model, str) else ""),
            status=status,
            tool_calls=meter.tool_calls,
            prompt_hash=prompt_hash(prompt, self._source.prompt_key),
            gateway=self._source.gateway,
        )


def _body_of(content: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
