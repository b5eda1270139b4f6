"""ASGI middleware: refuses before the application runs, and cuts a response that is under way."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .gate import Gate
from .identity import Answer, Identity
from .sidecar import HeaderNames, identity_of

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class CutError(Exception):
    """Ends the application's response; the middleware that raised it catches it."""


def by_headers(names: HeaderNames | None = None) -> Callable[[Scope], Identity]:
    """Identify a caller by headers that something before this application has set."""
    given = names or HeaderNames()
    return lambda scope: identity_of({k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}, given)


class Brakes:
    """Wrap an application: `app = Brakes(app, gate, identify)`; `identify` tells who calls from the ASGI scope."""

    def __init__(self, app: Application, gate: Gate, identify: Callable[[Scope], Identity]) -> None:
        self._app = app
        self._gate = gate
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        who = self._identify(scope)
        answer = self._gate.check(who)
        if not answer.allowed:
            await self._refuse(answer, send)
            return
        scope["brakeline"] = answer
        watched = Watched(self._gate, who, send)
        try:
            await self._app(scope, receive, watched.send)
        except CutError:
            await watched.end()

    async def _refuse(self, answer: Answer, send: Send) -> None:
        body, headers = self._gate.refusal(answer)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 403, "headers": raw})
        await send({"type": "http.response.body", "body": body})


class Watched:
    """A response under way: looks before each chunk."""

    def __init__(self, gate: Gate, who: Identity, send: Send) -> None:
        self._gate = gate
        self._who = who
        self._send = send
        self._streams_events = False
        self._has_length = False
        self._answer: Answer | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the caller was stopped meanwhile."""
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message.get("headers", [])}
            self._streams_events = b"text/event-stream" in headers.get(b"content-type", b"")
            self._has_length = b"content-length" in headers
        elif message["type"] == "http.response.body" and not self._has_length:
            self._answer = self._gate.cut(self._who)
            if self._answer is not None:
                raise CutError
        await self._send(message)

    async def end(self) -> None:
        """Say why in the stream's own way, and end it."""
        assert self._answer is not None
        body, _ = self._gate.refusal(self._answer)
        last = b"event: error\ndata: " + body + b"\n\n" if self._streams_events else b""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})
