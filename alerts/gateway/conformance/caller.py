"""Calls to the gateway that is tried, and a stream that is read beside them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from msgspec import Struct

from ..ending import end

Order = Callable[[], Awaitable[None]]
"""Kills or releases the caller that is tried; raises OrderError when it can't."""
KILLED = "agent_killed"
POLL_S = 0.02


class OrderError(Exception):
    """The command that kills or releases has failed; the message says how."""


class Broken(Exception):
    """A promise that isn't kept; the message says what was seen instead."""


class NotTried(Exception):
    """A promise that can't be tried with what is given; the message says what it needs."""


class Target(Struct, frozen=True, kw_only=True):
    """The gateway, and whom to try it with. Header values are secrets: they are never printed.

    `caller` are the headers of the one that is killed, `other` those of somebody who may work on. Without `kill`
    the caller is taken to be killed already, and `release` is not tried. `gated` and `gated_body` are of a call that a
    gate holds.
    """

    url: str
    body: bytes
    caller: Mapping[str, str]
    other: Mapping[str, str] = {}
    kill: Order | None = None
    release: Order | None = None
    cuts_streams: bool = False
    gated: Mapping[str, str] = {}
    gated_body: bytes = b""
    approve: Callable[[str], Awaitable[None]] | None = None
    """Approves a request by its id."""
    limit_calls: int = 0
    """How many calls the limits leave to each run whose id begins with `conformance-`."""
    run_header: str = "x-run-id"
    deadline_s: float = 5.0


class Answer(Struct, frozen=True):
    """What came back for one call."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The denial body's content; empty if it is none."""
        try:
            error = json.loads(self.body)["error"]
        except (ValueError, TypeError, KeyError):
            return {}
        return error if isinstance(error, dict) else {}

    @property
    def seen(self) -> str:
        """What a person would say of it."""
        message = self.error.get("message") or self.body[:120].decode("utf-8", "replace").strip()
        return f"{self.status} {message}".strip()


class Caller:
    """Calls the gateway, in the name of whoever the headers say."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self.target = target
        self._session = session

    async def call(
        self, headers: Mapping[str, str] | None = None, *, stream: bool = False, body: bytes = b""
    ) -> Answer:
        """Make one call; of a stream that is let through only the head is read."""
        async with self._open(self.target.caller if headers is None else headers, stream, body) as response:
            content = b"" if stream and response.status < 400 else await response.read()
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, content)

    async def stream(self) -> "Stream":
        """Begin a stream."""
        return Stream(await self._open(self.target.caller, stream=True))

    async def until(
        self, holds: Callable[[Answer], bool], headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[Answer, float]:
        """Call until an answer is as wanted or the deadline is over; return it with the milliseconds that it took."""
        began_s = time.perf_counter()
        answer = await self.call(headers, body=body)
        while not holds(answer) and time.perf_counter() - began_s < self.target.deadline_s:
            await asyncio.sleep(POLL_S)
            answer = await self.call(headers, body=body)
        return answer, 1000 * (time.perf_counter() - began_s)

    def _open(self, headers: Mapping[str, str], stream: bool, body: bytes = b"") -> Any:
        body = body or self.target.body
        if stream:
            body = json.dumps({**json.loads(body), "stream": True}).encode()
        given = {"content-type": "application/json", **headers}
        return self._session.post(self.target.url, data=body, headers=given)


class Stream:
    """A response that is read beside everything else; it counts the chunks that come after `mark`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._begun = asyncio.Event()
        self._marked = False
        self._after = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for line in self._response.content:
                if line.startswith(b"data:") and KILLED.encode() not in line:
                    self._begun.set()
                    self._after += self._marked
        except aiohttp.ClientError:
            pass  # A broken connection is a way to cut.

    async def goes_on(self, deadline_s: float) -> bool:
        """Wait for a first chunk."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._begun.wait()
        except TimeoutError:
            return False
        return True

    def mark(self) -> None:
        """Count from now on."""
        self._marked = True

    async def rest(self, deadline_s: float) -> int | None:
        """Wait for the end; return how many chunks came after the mark, None if it goes on."""
        done, _ = await asyncio.wait([self._reading], timeout=deadline_s)
        return self._after if done else None

    async def close(self) -> None:
        """Stop reading."""
        await end([self._reading])
        self._response.close()
