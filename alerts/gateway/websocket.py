"""A WebSocket through the ASGI middleware: looked at with each message, and ended when its caller is stopped."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .admission import Admission
from .identity import Answer, denial_message

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
REASON_BYTES_MAX = 123
"""Of the end of a WebSocket."""


class CutError(Exception):
    """Ends the application's response; the middleware that raised it catches it."""


class Socket:
    """A WebSocket that ends when its caller is stopped."""

    def __init__(self, call: Admission, receive: Receive, send: Send) -> None:
        self.stopped: Answer | None = None
        self._call = call
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Hand on what the client says, as long as it may."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._look()
        return message

    async def send(self, message: Message) -> None:
        """Hand on what the application says; after the end nothing."""
        if message["type"] == "websocket.send":
            self._look()
        if self.stopped is None:
            await self._send(message)

    def _look(self) -> None:
        self.stopped = self.stopped or self._call.look()
        if self.stopped is not None:
            raise CutError


def closing(answer: Answer) -> Message:
    """Return the end of a WebSocket by policy; before it was accepted that is a 403."""
    reason = denial_message(answer).encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    return {"type": "websocket.close", "code": 1008, "reason": reason}
