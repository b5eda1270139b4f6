"""Limits in the real LiteLLM proxy: whatever becomes of a call, its reservation is replaced by what it took."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer
from litellm_limited import limited_proxy
from real_gateways import needs
from waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), needs("litellm")]
MOST = 6_000
STREAM = [b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
          b'{"content":"some words of an answer"},"finish_reason":null}]}\n\n']  # fmt: skip


class Upstream:
    """Does what the prompt says: answers, fails, hangs, breaks off, or streams and hangs."""

    def __init__(self) -> None:
        self.calls = 0
        self.over = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_route("*", "/{rest:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        body = await request.json()
        what = body["messages"][0]["content"]
        if what == "fail":
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        if what == "hang":
            await self.over.wait()
        if what == "stream":
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(STREAM[0])
            await self.over.wait()
            return response
        tokens = int(what) if what.isdigit() else 2
        usage = {"prompt_tokens": 1, "completion_tokens": tokens - 1, "total_tokens": tokens}
        choice = {"index": 0, "message": {"role": "assistant", "content": "y"}, "finish_reason": "stop"}
        return web.json_response(
            {"id": uuid.uuid4().hex, "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
             "usage": usage}
        )  # fmt: skip


class Proxy:
    """Calls the proxy; each call may take 6,000 of 10,000 tokens: one that is left reserved refuses the next."""

    def __init__(self, client: ClientSession, url: str) -> None:
        self._client, self._url = client, f"{url}/v1/chat/completions"

    def _call(self, key: str, what: str, **more: Any) -> Any:
        body = {"model": "m", "max_tokens": MOST, "messages": [{"role": "user", "content": what}], **more}
        return self._client.post(self._url, json=body, headers={"authorization": f"Bearer sk-{key}"})

    async def call(self, key: str, what: str, **more: Any) -> tuple[int, Any]:
        async with self._call(key, what, **more) as answer:
            return answer.status, await answer.json()

    async def leave_a_stream(self, key: str) -> None:
        async with self._call(key, "stream", stream=True) as answer:
            assert b"some words" in await answer.content.readline()
            answer.close()

    async def lets(self, key: str) -> None:
        """Wait until a call passes; LiteLLM tells what a call took after its answer."""

        async def passes() -> bool:
            return (await self.call(key, "2"))[0] == 200

        await until(passes)


async def test_every_end_of_a_call_settles_what_it_reserved(kafka: str, tmp_path: Path) -> None:
    upstream = Upstream()
    async with (
        TestServer(upstream.app) as server,
        limited_proxy(kafka, tmp_path, server.port or 0) as (url, _),
        ClientSession(timeout=ClientTimeout(60)) as client,
    ):
        proxy = Proxy(client, url)
        await proxy.lets("warm")
        for _ in range(3):
            await proxy.lets("whole")

        assert (await proxy.call("failed", "fail"))[0] == 503
        await proxy.lets("failed")

        await proxy.leave_a_stream("left")
        await proxy.lets("left")

        before = upstream.calls
        assert (await proxy.call("slow", "hang", timeout=1))[0] == 408
        status, body = await proxy.call("slow", "2")
        assert (status, body["error"]["code"], upstream.calls) == (403, "limit_reached", before + 1)
        assert "6,0" in body["error"]["message"], "nobody knows what it took: it stays counted at its estimate"

        # What is really used is what counts: 5,000 tokens leave no room for another 6,000.
        assert (await proxy.call("dear", "5000"))[0] == 200

        async def is_settled() -> bool:
            return "5,000 tokens used" in str((await proxy.call("dear", "2"))[1])

        await until(is_settled)
        upstream.over.set()
