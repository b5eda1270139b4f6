"""WebSockets through the ASGI middleware: whoever is stopped opens none, and is cut off at the next message."""

from typing import Any

import pytest
from signing import APPROVER, command, live_guard

from alerts.gateway.asgi import Brakes, by_headers
from alerts.gateway.gate import Gate

CONNECT, SAID = {"type": "websocket.connect"}, {"type": "websocket.receive", "text": "go on"}
SCOPE = {"type": "websocket", "path": "/v1/realtime", "headers": [(b"x-brakeline-agent", b"a")]}


class Talk:
    """A client that says something again and again, and an application that answers, until it hears the end."""

    def __init__(self, stopped_after: int) -> None:
        self.guard = live_guard()
        self.sent: list[Any] = []
        self.heard = 0
        self._stopped_after = stopped_after
        self._turns = 0

    async def receive(self) -> Any:
        self._turns += 1
        if self._turns > self._stopped_after:
            self.guard.apply("agent:a", APPROVER.sign(command()), 100.0)
        return CONNECT if self._turns == 1 else SAID

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await receive()
            self.heard += 1
            await send({"type": "websocket.send", "text": "done"})

    async def run(self) -> list[str]:
        brakes = Brakes(self.app, Gate(self.guard, clock=lambda: 100.0), by_headers())
        await brakes(dict(SCOPE), self.receive, self.send)
        return [each["type"].removeprefix("websocket.") for each in self.sent]


@pytest.mark.parametrize("messages", [0, 1, 3])
async def test_a_caller_that_is_stopped_is_heard_no_more_and_told_why(messages: int) -> None:
    talk = Talk(stopped_after=messages + 1)
    assert await talk.run() == ["accept", *["send"] * messages, "close"]
    assert talk.heard == messages
    assert (talk.sent[-1]["code"], talk.sent[-1]["reason"]) == (
        1008,
        "Refused by Brakeline: agent:a is stopped: a loop",
    )


async def test_who_is_stopped_opens_none() -> None:
    talk = Talk(stopped_after=0)
    talk.guard.apply("agent:a", APPROVER.sign(command()), 100.0)
    assert await talk.run() == ["close"]
    assert talk.heard == 0
