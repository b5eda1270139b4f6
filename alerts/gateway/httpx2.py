"""Transports for httpx2: `httpx2.Client(transport=Brakes(gate, who))`, and the same for `AsyncClient`.

The OpenAI SDK from 3 and the Anthropic SDK from 2 use httpx2: `OpenAI(http_client=httpx2.Client(transport=...))`.
"""

from typing import Any, ClassVar

import httpx2

from .gate import Gate
from .identity import Answer
from .transport import AsyncTransport, AsyncWatched, SyncTransport, SyncWatched, Who


class StoppedError(httpx2.ReadError):
    """A response was cut because its caller was stopped; `answer` says by which command."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"Cut by Brakeline: {answer.reason}")
        self.answer = answer


class Watched(SyncWatched, httpx2.SyncByteStream):
    """A response under way."""


class WatchedAsync(AsyncWatched, httpx2.AsyncByteStream):
    """A response under way."""


class Brakes(SyncTransport, httpx2.BaseTransport):
    """For `httpx2.Client`. `who` is who calls, or a function of the request."""

    library: ClassVar[Any] = httpx2
    stopped: ClassVar[type[Any]] = StoppedError
    watched: ClassVar[type[Any]] = Watched

    def __init__(self, gate: Gate, who: Who, inner: httpx2.BaseTransport | None = None) -> None:
        super().__init__(gate, who, inner or httpx2.HTTPTransport())


class AsyncBrakes(AsyncTransport, httpx2.AsyncBaseTransport):
    """For `httpx2.AsyncClient`. `who` is who calls, or a function of the request."""

    library: ClassVar[Any] = httpx2
    stopped: ClassVar[type[Any]] = StoppedError
    watched: ClassVar[type[Any]] = WatchedAsync

    def __init__(self, gate: Gate, who: Who, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(gate, who, inner or httpx2.AsyncHTTPTransport())
