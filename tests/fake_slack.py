"""A Slack that answers on loopback: it limits, fails, hangs, drops, takes without an answer, and remembers all."""

import asyncio
import json
from collections import deque
from typing import Any, Literal

from aiohttp import WSMsgType, web

Mood = Literal["ok", "limit", "fail", "hang", "drop", "drop before", "silent", "refuse blocks", "refuse all"]


class FakeSlack:
    """`moods` is taken from the left, one a call of chat.postMessage or chat.update; empty means ok."""

    def __init__(self) -> None:
        self.moods: deque[Mood] = deque()
        self.messages: dict[str, dict[str, Any]] = {}
        self.replies: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.modals: list[dict[str, Any]] = []
        self.whispers: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.uploads: dict[str, bytes] = {}
        self.groups: dict[str, list[str]] = {}
        self.history_readable = True
        self.retry_after_s = 7
        self.envelopes_acked: list[str] = []
        self.base_url = ""
        self._sockets: list[web.WebSocketResponse] = []
        self._over = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._next = 0

    async def __aenter__(self) -> "FakeSlack":
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/upload/{file}", self._upload)
        app.router.add_get("/socket", self._socket)
        app.router.add_route("*", "/api/{method}", self._api)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._root = f"127.0.0.1:{port}"
        self.base_url = f"http://{self._root}/api/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        for socket in self._sockets:
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def shown(self) -> list[str]:
        """Header of each message as it is now."""
        return [message["text"] for message in self.messages.values()]

    def about(self, incident_id: str) -> list[dict[str, Any]]:
        """Messages that carry this incident's metadata."""
        found = self.messages.values()
        return [m for m in found if m["metadata"]["event_payload"]["incident_id"] == incident_id]

    async def press(self, payload: dict[str, Any], envelope: str = "e1") -> None:
        """Send an interaction through the open socket."""
        message = {"envelope_id": envelope, "type": "interactive", "accepts_response_payload": True, "payload": payload}
        await self._sockets[-1].send_str(json.dumps(message))

    @property
    def connected(self) -> bool:
        return bool(self._sockets) and not self._sockets[-1].closed

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body = await _body(request)
        self.calls.append(method)
        if method in {"chat.postMessage", "chat.update"}:
            return await self._moody(request, method, body)
        return web.json_response(self._answer(method, body))

    async def _moody(self, request: web.Request, method: str, body: dict[str, Any]) -> web.StreamResponse:
        mood = self.moods.popleft() if self.moods else "ok"
        if mood == "limit":
            headers = {"Retry-After": str(self.retry_after_s)}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        if mood == "fail":
            return web.json_response({"ok": False, "error": "internal_error"}, status=500)
        if mood == "refuse all" or (mood == "refuse blocks" and body.get("blocks")):
            if mood == "refuse blocks":
                return web.json_response({"ok": False, "error": "invalid_blocks"})
            return web.json_response({"ok": False, "error": "channel_not_found"})
        if mood == "hang":
            await self._over.wait()
        if mood != "drop before":
            answer = self._answer(method, body)
        if mood == "silent":
            await self._over.wait()
        if mood in {"drop", "drop before"}:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(answer)

    def _answer(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                if body["ts"] not in self.messages:
                    return {"ok": False, "error": "message_not_found"}
                self.messages[body["ts"]].update(text=body["text"], blocks=body.get("blocks"))
                return {"ok": True, "channel": body["channel"], "ts": body["ts"]}
            case "conversations.history":
                return self._history(body)
            case "views.open":
                self.modals.append(body["view"])
            case "chat.postEphemeral":
                self.whispers.append(body)
            case "usergroups.users.list":
                return {"ok": True, "users": self.groups.get(body["usergroup"], [])}
            case "files.getUploadURLExternal":
                self._next += 1
                return {
                    "ok": True,
                    "file_id": f"F{self._next}",
                    "upload_url": f"http://{self._root}/upload/F{self._next}",
                }
            case "files.completeUploadExternal":
                self.files.append(body)
                return {"ok": True, "files": [{"id": "F"}]}
            case "apps.connections.open":
                return {"ok": True, "url": f"ws://{self._root}/socket"}
        return {"ok": True}

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        self._next += 1
        ts = f"{1_700_000_000 + self._next}.000000"
        if "thread_ts" in body:
            self.replies.append(body)
        else:
            self.messages[ts] = {**body, "ts": ts}
        return {"ok": True, "channel": "C1", "ts": ts}

    def _history(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self.history_readable:
            return {"ok": False, "error": "missing_scope"}
        shown = [{"ts": m["ts"], "metadata": m["metadata"]} for m in reversed(self.messages.values())]
        start = int(body.get("cursor") or 0)
        page = shown[start : start + 2]
        cursor = str(start + 2) if start + 2 < len(shown) else ""
        return {"ok": True, "messages": page, "response_metadata": {"next_cursor": cursor}}

    async def _upload(self, request: web.Request) -> web.Response:
        self.uploads[request.match_info["file"]] = await request.read()
        return web.Response(text="OK")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await socket.send_str(json.dumps({"type": "hello"}))
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data:
                self.envelopes_acked.append(json.loads(message.data)["envelope_id"])
        return socket


async def _body(request: web.Request) -> dict[str, Any]:
    if request.method == "GET":
        return dict(request.query)
    if request.content_type == "application/json":
        found = await request.json()
        return dict(found)
    return {**request.query, **await request.post()}
