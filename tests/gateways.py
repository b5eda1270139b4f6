"""Every adapter behind one face, in front of one fake upstream, for the conformance suite."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import httpx2
from aiohttp import ClientSession, web

from alerts.gateway.asgi import Brakes as AsgiBrakes
from alerts.gateway.asgi import by_headers
from alerts.gateway.fake import FakeGateway
from alerts.gateway.gate import Gate
from alerts.gateway.httpx import AsyncBrakes, Brakes
from alerts.gateway.httpx2 import AsyncBrakes as AsyncBrakes2
from alerts.gateway.httpx2 import Brakes as Brakes2
from alerts.gateway.identity import Identity

TEAMS = {"a": "t", "b": "u"}


class Upstream:
    """Counts calls, and streams a chunk each time it is told to."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.next = asyncio.Semaphore(0)
        self.app = web.Application()
        self.app.router.add_post("/v1/chat", self._answer)
        self.app.router.add_post("/v1/stream", self._stream)
        self.app.router.add_post("/v1/chat/completions", self._complete)
        self.url = ""

    @property
    def calls(self) -> int:
        return len(self.models)

    async def _answer(self, request: web.Request) -> web.Response:
        self.models.append(request.headers.get("x-brakeline-model") or (await request.json())["model"])
        return web.json_response({"ok": True})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        """Speak OpenAI's chat completions, for a proxy that reads them."""
        body = await request.json()
        head = {"id": "c", "created": 1, "model": body["model"]}
        if body.get("stream"):
            return await self._stream(request, lambda number: json.dumps({**head, **chunk_of(str(number))}))
        self.models.append(body["model"])
        choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def _stream(self, request: web.Request, said: Callable[[int], str] = str) -> web.StreamResponse:
        self.models.append("")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(100):
            await self.next.acquire()
            await response.write(f"data: {said(number)}\n\n".encode())
        return response


def chunk_of(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice]}


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


class Adapter(Protocol):
    async def call(self, agent: str) -> Reply: ...

    def stream(self, agent: str) -> AsyncIterator[bytes]:
        """Yield chunks; a cut ends it, by an error or by an event that names the kill."""
        ...


Opener = Callable[[FakeGateway, Upstream, Path], AbstractAsyncContextManager[Adapter]]
BODY = {"model": "large", "messages": [{"role": "user", "content": "x"}]}


def who(request: Any) -> Identity:
    agent = request.headers["x-agent"]
    return Identity(agent=agent, team=TEAMS[agent])


class HttpxAdapter:
    path = "/v1/chat"
    body = BODY

    def __init__(
        self, client: httpx.AsyncClient | httpx2.AsyncClient, headers: Callable[[str], dict[str, str]]
    ) -> None:
        self._client, self._headers = client, headers

    async def call(self, agent: str) -> Reply:
        response = await self._client.post(self.path, json=self.body, headers=self._headers(agent))
        return Reply(response.status_code, response.headers, response.content)

    async def stream(self, agent: str) -> AsyncIterator[bytes]:
        async with self._client.stream("POST", "/v1/stream", json=BODY, headers=self._headers(agent)) as response:
            async for chunk in response.aiter_raw():
                yield chunk


class SyncHttpxAdapter:
    def __init__(self, client: httpx.Client | httpx2.Client) -> None:
        self._client = client

    async def call(self, agent: str) -> Reply:
        response = await asyncio.to_thread(self._client.post, "/v1/chat", json=BODY, headers={"x-agent": agent})
        return Reply(response.status_code, response.headers, response.content)

    async def stream(self, agent: str) -> AsyncIterator[bytes]:
        request = self._client.build_request("POST", "/v1/stream", json=BODY, headers={"x-agent": agent})
        response = await asyncio.to_thread(self._client.send, request, stream=True)
        chunks = response.iter_raw()
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                yield chunk
        finally:
            response.close()


@asynccontextmanager
async def open_httpx(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
    transport = AsyncBrakes(Gate(gateway.guard, clock=gateway.clock), who)
    async with httpx.AsyncClient(transport=transport, base_url=upstream.url, timeout=10) as client:
        yield HttpxAdapter(client, lambda agent: {"x-agent": agent})


@asynccontextmanager
async def open_sync_httpx(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
    transport = Brakes(Gate(gateway.guard, clock=gateway.clock), who)
    with httpx.Client(transport=transport, base_url=upstream.url, timeout=10) as client:
        yield SyncHttpxAdapter(client)


@asynccontextmanager
async def open_httpx2(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
    transport = AsyncBrakes2(Gate(gateway.guard, clock=gateway.clock), who)
    async with httpx2.AsyncClient(transport=transport, base_url=upstream.url, timeout=10) as client:
        yield HttpxAdapter(client, lambda agent: {"x-agent": agent})


@asynccontextmanager
async def open_sync_httpx2(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
    transport = Brakes2(Gate(gateway.guard, clock=gateway.clock), who)
    with httpx2.Client(transport=transport, base_url=upstream.url, timeout=10) as client:
        yield SyncHttpxAdapter(client)


class AsgiAdapter:
    """Drives a small ASGI proxy of the upstream, as a server would."""

    def __init__(self, gate: Gate, upstream: Upstream, session: ClientSession) -> None:
        self._upstream, self._session = upstream, session
        self._app = AsgiBrakes(self._proxy, gate, by_headers())

    async def _proxy(self, scope: Any, _: Any, send: Any) -> None:
        headers = {"x-brakeline-model": scope["brakeline"].model or "large"}
        async with self._session.post(self._upstream.url + scope["path"], json=BODY, headers=headers) as response:
            kept = [(b"content-type", response.headers["content-type"].encode())]
            await send({"type": "http.response.start", "status": response.status, "headers": kept})
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _run(self, path: str, agent: str, send: Any) -> None:
        headers = {"x-brakeline-agent": agent, "x-brakeline-team": TEAMS[agent], "x-model": "large"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": raw}

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await self._app(scope, receive, send)

    async def call(self, agent: str) -> Reply:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await self._run("/v1/chat", agent, send)
        headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        return Reply(messages[0]["status"], headers, b"".join(m.get("body", b"") for m in messages[1:]))

    async def stream(self, agent: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        task = asyncio.create_task(self._run("/v1/stream", agent, queue.put))
        try:
            message = await queue.get()
            while message["type"] != "http.response.body" or message.get("more_body"):
                message = await queue.get()
                if message.get("body"):
                    yield message["body"]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_asgi(gateway: FakeGateway, upstream: Upstream, _: Path) -> AsyncIterator[Adapter]:
    async with ClientSession() as session:
        yield AsgiAdapter(Gate(gateway.guard, clock=gateway.clock), upstream, session)
