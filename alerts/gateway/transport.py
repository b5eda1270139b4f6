"""What the transports of httpx and httpx2 do: the two libraries are alike, and share no type.

A refusal is an answer, not an exception: SDKs retry exceptions.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import msgspec
from msgspec import structs

from .admission import Admission
from .budget import NOTHING
from .estimate import BODILESS, read_request
from .events import failed
from .gate import Gate
from .identity import Answer, Identity, cheaper
from .source import Call

Who = Identity | Callable[[Any], Identity]
"""Who calls, or a function of the request."""
EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Watch:
    """A response under way: looks before each chunk, settles at its end, and reports that to `call` if it is given."""

    def __init__(
        self,
        gate: Gate,
        admitted: Admission,
        headers: Any,
        stopped: Callable[[Answer], Exception],
        call: Call | None = None,
    ) -> None:
        self._gate = gate
        self._admitted = admitted
        self._stopped = stopped
        self._call = call
        in_events = headers.get("content-type", "").startswith("text/event-stream")
        self._speaks = in_events and headers.get("content-encoding", "identity") == "identity"
        self._between_events = True

    def cut(self, chunk: bytes) -> bytes | None:
        """Return None to pass the chunk on, or the last event of a stream that is cut instead of it.

        Raises where there is no saying why within the stream: it isn't one of events, or an event is half out.
        """
        self.take(chunk)
        answer = self._admitted.look()
        if answer is None:
            self._between_events = chunk.endswith(EVENT_ENDS)
            return None
        self.end("partial")
        if not self._speaks or not self._between_events:
            raise self._stopped(answer)
        return b"event: error\ndata: " + self._gate.refusal(answer)[0] + b"\n\n"

    def take(self, chunk: bytes) -> None:
        """Count a chunk."""
        if self._call is not None:
            self._call.feed(chunk)
        self._admitted.feed(chunk)

    def end(self, status: str = "ok") -> None:
        """Settle and report what was used; a second time changes nothing."""
        self._admitted.end()
        if self._call is not None:
            self._call.end(status)


class Transport:
    """The part that needs no waiting. `library` is httpx or httpx2, with its exception for a cut and its stream."""

    library: ClassVar[Any]
    stopped: ClassVar[type[Any]]
    watched: ClassVar[type[Any]]

    def __init__(self, gate: Gate, who: Who, inner: Any) -> None:
        self._gate = gate
        self._who = who
        self._inner = inner

    def _ask(self, request: Any, content: bytes) -> tuple[Admission, Any, dict[str, str]]:
        """Return the call, the refusal if any, and the models to use instead. The body is empty if it can't be read."""
        who = self._who(request) if callable(self._who) else self._who
        asked = read_request(content, request.url.path)
        if asked.model and not who.model:
            who = structs.replace(who, model=asked.model)
        # What has no body calls no model; a body that can't be read again may take anything.
        load = NOTHING if request.method in BODILESS else asked.load if content else None
        admitted = self._gate.begin(who, load)
        if admitted.answer.allowed:
            return admitted, None, admitted.answer.models
        body, headers = self._gate.refusal(admitted.answer)
        return admitted, self.library.Response(403, headers=headers, content=body, request=request), {}

    def _downgraded(self, request: Any, models: dict[str, str]) -> Any:
        """Return the request with a cheaper model in its JSON body; anything else is left alone."""
        try:
            body: Any = msgspec.json.decode(request.content)
        except msgspec.DecodeError:
            return request
        model = body.get("model") if isinstance(body, dict) else None
        instead = cheaper(models, model) if isinstance(model, str) else ""
        if not instead or instead == model:
            return request
        return self.library.Request(
            request.method,
            request.url,
            headers=[(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"],
            content=msgspec.json.encode({**body, "model": instead}),
            extensions=request.extensions,
        )

    def _call(self, request: Any, admitted: Admission, content: bytes) -> Call | None:
        """Follow a call if its usage is reported. Where it is metered, no encoding is asked for that can't be read."""
        source = self._gate.source
        if source is None and admitted.answer.ticket is None:
            return None
        if {"br", "zstd"} & {each.strip() for each in request.headers.get("accept-encoding", "").split(",")}:
            request.headers["accept-encoding"] = "gzip, deflate"
        return None if source is None else source.call(admitted.who, request.method, request.url.path, content)

    def _content(self, request: Any) -> bytes:
        try:
            return bytes(request.content)
        except self.library.RequestNotRead:
            return b""

    def _fail(self, admitted: Admission, call: Call | None, error: BaseException) -> None:
        # Once a request is out the provider may bill for it, whoever waits for the answer or not.
        sent_nothing = (self.library.ConnectError, self.library.ConnectTimeout, self.library.PoolTimeout)
        (admitted.fail if isinstance(error, sent_nothing) else admitted.lose)()
        if call is not None:
            timeout, given_up = isinstance(error, self.library.TimeoutException), not isinstance(error, Exception)
            call.end("timeout" if timeout else "cancelled" if given_up else failed(type(error).__name__))

    def _watch(self, response: Any, admitted: Admission, call: Call | None) -> Any:
        admitted.answered(response.status_code, response.headers)
        if call is not None:
            call.answered(response.status_code, response.headers)
        watch = Watch(self._gate, admitted, response.headers, self.stopped, call)
        if response.is_closed:
            # Whole already, as a cache's: nobody reads its stream.
            watch.take(response.content)
            watch.end()
            return response
        response.stream = self.watched(response.stream, watch)
        return response


class SyncTransport(Transport):
    """For a `Client`."""

    def handle_request(self, request: Any) -> Any:
        """Answer a refusal, or pass on and watch."""
        admitted, refusal, models = self._ask(request, self._content(request))
        if refusal is not None:
            return refusal
        if models:
            request.read()
            request = self._downgraded(request, models)
        call = self._call(request, admitted, self._content(request))
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            self._fail(admitted, call, error)
            raise
        return self._watch(response, admitted, call)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncTransport(Transport):
    """For an `AsyncClient`."""

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a refusal, or pass on and watch."""
        admitted, refusal, models = self._ask(request, self._content(request))
        if refusal is not None:
            return refusal
        if models:
            await request.aread()
            request = self._downgraded(request, models)
        call = self._call(request, admitted, self._content(request))
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            self._fail(admitted, call, error)
            raise
        return self._watch(response, admitted, call)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class SyncWatched:
    """A byte stream that ends when its caller is stopped."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            last = self._watch.cut(chunk)
            yield chunk if last is None else last
            if last is not None:
                return
        self._watch.end()

    def close(self) -> None:
        """Close the inner stream; whoever does that before its end has used what has passed."""
        self._watch.end("cancelled")
        self._inner.close()


class AsyncWatched:
    """A byte stream that ends when its caller is stopped."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            last = self._watch.cut(chunk)
            yield chunk if last is None else last
            if last is not None:
                return
        self._watch.end()

    async def aclose(self) -> None:
        """Close the inner stream; whoever does that before its end has used what has passed."""
        self._watch.end("cancelled")
        await self._inner.aclose()
