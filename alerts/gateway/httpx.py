"""Transports for httpx: `httpx.Client(transport=Brakes(gate, who))`, and the same for `AsyncClient`.

The OpenAI SDK before 3 and the Anthropic SDK before 2 use httpx: `OpenAI(http_client=httpx.Client(transport=...))`.
"""

from typing import Any, ClassVar

import httpx

from .gate import Gate
from .identity import Answer
from .transport import AsyncTransport, AsyncWatched, SyncTransport, SyncWatched, Who


class StoppedError(httpx.ReadError):
    """A response was cut because its caller was stopped; `answer` says by which command."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"Cut by Brakeline: {answer.reason}")
        self.answer = answer


class Watched(SyncWatched, httpx.SyncByteStream):
    """A response under way."""


class WatchedAsync(AsyncWatched, httpx.AsyncByteStream):
    """A response under way."""


def unread(response: object) -> httpx.Response | None:
    """Return a response whose body is still to come; None for anything else."""
    return response if isinstance(response, httpx.Response) and not response.is_closed else None


class Brakes(SyncTransport, httpx.BaseTransport):
    """For `httpx.Client`. `who` is who calls, or a function of the request."""

    library: ClassVar[Any] = httpx
    stopped: ClassVar[type[Any]] = StoppedError
    watched: ClassVar[type[Any]] = Watched

    def __init__(self, gate: Gate, who: Who, inner: httpx.BaseTransport | None = None) -> None:
        super().__init__(gate, who, inner or httpx.HTTPTransport())


class AsyncBrakes(AsyncTransport, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`. `who` is who calls, or a function of the request."""

    library: ClassVar[Any] = httpx
    stopped: ClassVar[type[Any]] = StoppedError
    watched: ClassVar[type[Any]] = WatchedAsync

    def __init__(self, gate: Gate, who: Who, inner: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(gate, who, inner or httpx.AsyncHTTPTransport())
