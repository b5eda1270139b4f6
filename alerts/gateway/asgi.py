"""ASGI middleware: refuses before the application runs, and cuts a response that is under way."""

from collections.abc import Awaitable, Callable

from msgspec import structs

from .admission import Admission
from .budget import NOTHING
from .estimate import BODILESS, Request, read_request, unread
from .gate import Gate
from .headers import HeaderNames, identity_of
from .identity import Answer, Identity
from .websocket import CutError, Message, Receive, Scope, Send, Socket, closing

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
BODY_BYTES_MAX = 8 << 20


def by_headers(names: HeaderNames | None = None) -> Callable[[Scope], Identity]:
    """Identify a caller by headers that something before this application has set."""
    given = names or HeaderNames()
    return lambda scope: identity_of(_headers(scope), given)


class Brakes:
    """Wrap an application: `app = Brakes(app, gate, identify)`; `identify` tells who calls from the ASGI scope.

    A JSON body is read first, for what the call may take, and handed on unchanged. The application finds the answer
    in `scope["brakeline"]`, with the model to use where a downgrade is in force.
    """

    def __init__(self, app: Application, gate: Gate, identify: Callable[[Scope], Identity]) -> None:
        self._app = app
        self._gate = gate
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(receive)
        asked = await body.read(scope)
        who = self._identify(scope)
        call = self._gate.begin(who if who.model else structs.replace(who, model=asked.model), asked.load)
        if not call.answer.allowed:
            await self._refuse(call.answer, send)
            return
        scope["brakeline"] = call.answer
        watched = Watched(self._gate, call, send)
        try:
            await self._app(scope, body.receive, watched.send)
        except CutError:
            await watched.end()
        finally:
            # Where the application gave up before its answer was whole, or before it began.
            call.end()
            call.lose()

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a WebSocket to what is in force at its opening and at each message; it is counted as a usual call."""
        call = self._gate.begin(self._identify(scope))
        if not call.answer.allowed:
            await send(closing(call.answer))
            return
        scope["brakeline"] = call.answer
        socket = Socket(call, receive, send)
        try:
            await self._app(scope, socket.receive, socket.send)
        except CutError:
            if socket.stopped is None:
                raise
            await send(closing(socket.stopped))
        finally:
            call.lose()

    async def _refuse(self, answer: Answer, send: Send) -> None:
        body, headers = self._gate.refusal(answer)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 403, "headers": raw})
        await send({"type": "http.response.body", "body": body})


class Body:
    """A request's body that is looked at before the application reads it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[Message] = []

    async def read(self, scope: Scope) -> Request:
        """Read a JSON body of a moderate size; of others only the size is known."""
        if scope.get("method") in BODILESS:
            return Request("", NOTHING)
        headers = _headers(scope)
        size = headers.get("content-length", "")
        announced = int(size) if size.isascii() and size.isdigit() else None
        if "json" not in headers.get("content-type", "") or (announced or 0) > BODY_BYTES_MAX:
            return unread(announced, scope.get("path", ""))
        content = b""
        while len(content) <= BODY_BYTES_MAX:
            message = await self._receive()
            self._read.append(message)
            content += message.get("body", b"")
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        return read_request(content, scope.get("path", ""))

    async def receive(self) -> Message:
        """Give the application what was read, then what is still to come."""
        return self._read.pop(0) if self._read else await self._receive()


class Watched:
    """A response under way: looks before each chunk, and settles the call at its end."""

    def __init__(self, gate: Gate, call: Admission, send: Send) -> None:
        self._gate = gate
        self._call = call
        self._send = send
        self._streams_events = False
        self._has_length = False
        self._answer: Answer | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the caller was stopped meanwhile."""
        if message["type"] == "http.response.start":
            headers = _headers(message)
            self._streams_events = "text/event-stream" in headers.get("content-type", "")
            self._has_length = "content-length" in headers
            self._call.answered(message["status"], headers)
        elif message["type"] == "http.response.body":
            self._count(message)
            self._answer = None if self._has_length else self._call.look()
            if self._answer is not None:
                raise CutError
        await self._send(message)

    def _count(self, message: Message) -> None:
        self._call.feed(message.get("body", b""))
        if not message.get("more_body"):
            self._call.end()

    async def end(self) -> None:
        """Say why in the stream's own way, and end it."""
        assert self._answer is not None
        body, _ = self._gate.refusal(self._answer)
        last = b"event: error\ndata: " + body + b"\n\n" if self._streams_events else b""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})


def _headers(message: Scope) -> dict[str, str]:
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in message.get("headers", [])}
