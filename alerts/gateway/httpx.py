"""httpx transports, for the OpenAI and Anthropic SDKs: `OpenAI(http_client=httpx.Client(transport=Brakes(gate, who)))`.

A refusal is an answer, not an exception: SDKs retry exceptions.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import msgspec

from .gate import Gate
from .identity import Answer, Identity, cheaper

Identify = Callable[[httpx.Request], Identity]


class StoppedError(httpx.ReadError):
    """A response was cut because its caller was stopped; `answer` says by which command."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"Cut by Brakeline: {answer.reason}")
        self.answer = answer


class _Rules:
    def __init__(self, gate: Gate, identify: Identify | Identity) -> None:
        self._gate = gate
        self._identify = identify if callable(identify) else lambda _: identify

    def ask(self, request: httpx.Request) -> tuple[Identity, httpx.Response | None, dict[str, str]]:
        """Return who calls, the refusal if any, and the models to use instead."""
        who = self._identify(request)
        answer = self._gate.check(who)
        if answer.allowed:
            return who, None, answer.models
        body, headers = self._gate.refusal(answer)
        return who, httpx.Response(403, headers=headers, content=body, request=request), {}

    def look(self, who: Identity) -> None:
        """Raise StoppedError if the caller was stopped."""
        answer = self._gate.cut(who)
        if answer is not None:
            raise StoppedError(answer)


def downgraded(request: httpx.Request, models: dict[str, str]) -> httpx.Request:
    """Return the request with a cheaper model in its JSON body; anything else is left alone."""
    try:
        body: Any = msgspec.json.decode(request.content)
    except msgspec.DecodeError:
        return request
    model = body.get("model") if isinstance(body, dict) else None
    instead = cheaper(models, model) if isinstance(model, str) else ""
    if not instead or instead == model:
        return request
    headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
    content = msgspec.json.encode({**body, "model": instead})
    return httpx.Request(request.method, request.url, headers=headers, content=content, extensions=request.extensions)


class Brakes(httpx.BaseTransport):
    """For `httpx.Client`. `identify` is who calls, or a function of the request."""

    def __init__(self, gate: Gate, identify: Identify | Identity, inner: httpx.BaseTransport | None = None) -> None:
        self._rules = _Rules(gate, identify)
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a refusal, or pass on and watch."""
        who, refusal, models = self._rules.ask(request)
        if refusal is not None:
            return refusal
        if models:
            request.read()
            request = downgraded(request, models)
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Watched(response.stream, lambda: self._rules.look(who))
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncBrakes(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`. `identify` is who calls, or a function of the request."""

    def __init__(
        self, gate: Gate, identify: Identify | Identity, inner: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._rules = _Rules(gate, identify)
        self._inner = inner or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a refusal, or pass on and watch."""
        who, refusal, models = self._rules.ask(request)
        if refusal is not None:
            return refusal
        if models:
            await request.aread()
            request = downgraded(request, models)
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncWatched(response.stream, lambda: self._rules.look(who))
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class _Watched(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, look: Callable[[], None]) -> None:
        self._inner = inner
        self._look = look

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._look()
            yield chunk

    def close(self) -> None:
        self._inner.close()


class _AsyncWatched(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, look: Callable[[], None]) -> None:
        self._inner = inner
        self._look = look

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._look()
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
