"""What a browser does at a worker's page, without one, and the events of a small fleet with one victim."""

import re
from html import unescape

import aiohttp
import msgspec
from kafka_service import ServiceWorker
from waiting import until

LIMITS = [{"scope": "agent:victim", "tokens": 10, "per": "hour"}]
AGENTS = [f"agent-{number}" for number in range(24)]


def events(now_s: float) -> list[bytes]:
    return [
        msgspec.json.encode(
            {
                "event_id": f"{name}-{number}", "ts": now_s, "ingest_ts": now_s, "agent": name, "team": "research",
                "model": "gpt-4o", "input_tokens": 600, "output_tokens": 60, "cost_center": f"cc-{name}",
            }
        )
        for name in [*AGENTS, "victim"]
        for number in range(4)
    ]  # fmt: skip


class Browser:
    """What a browser does, without one."""

    def __init__(self, client: aiohttp.ClientSession, worker: ServiceWorker) -> None:
        self._client = client
        self.url = f"http://127.0.0.1:{worker.port}"

    async def text(self, path: str) -> str:
        try:
            async with self._client.get(self.url + path) as answer:
                return await answer.text()
        except aiohttp.ClientConnectionError:
            return ""  # It isn't up yet.

    async def until_shown(self, path: str, words: str) -> str:
        async def shown() -> bool:
            return words in await self.text(path)

        try:
            await until(shown, 40.0)
        except TimeoutError:
            raise AssertionError(f"{words!r} not on {path}: {await self.text(path)}") from None
        return await self.text(path)

    async def press(self, path: str, verb: str, reason: str = "") -> None:
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', await self.text(path)))
        sent = {name: unescape(value) for name, value in fields.items()} | {"verb": verb, "reason": reason}
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with self._client.post(self.url + path, data=sent, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
