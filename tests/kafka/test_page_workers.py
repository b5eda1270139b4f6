"""Two workers, two pages, one truth: each shows what both do, and a press on either is carried out."""

import re
import time
from html import unescape
from pathlib import Path

import aiohttp
import msgspec
import pytest
from kafka_service import Installation, ServiceWorker
from waiting import until

from alerts.gateway.wire import State

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
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
        self._url = f"http://127.0.0.1:{worker.port}"

    async def text(self, path: str) -> str:
        try:
            async with self._client.get(self._url + path) as answer:
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
        async with self._client.post(self._url + path, data=sent, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()


async def test_either_page_shows_all_and_a_press_on_either_is_carried_out(kafka: str, tmp_path: Path) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # Else it keeps none of an address without a name.
    async with Installation(kafka, tmp_path, limits=LIMITS) as site, aiohttp.ClientSession(cookie_jar=jar) as client:
        workers = [await site.start(name) for name in "ab"]
        one, other = (Browser(client, worker) for worker in workers)
        await one.until_shown("/", "Agents")
        await site.produce(events(time.time()))

        path = ""
        for page in (one, other):
            table = await page.until_shown("/?state=stopped", "agent victim")
            path = re.findall(r'href="(/incidents/[^"]+)"', table)[0]
            everybody = await page.until_shown("/?sort=name", ">25 agents and runs<")
            assert set(re.findall(r'<tr id="agent ([^"]+)"', everybody)) == {*AGENTS, "victim"}
            await page.until_shown("/spend?by=cost_center&span=hour", "cc-victim")
            await page.until_shown("/spend?event=agent-7-3", "<b>cc-agent-7</b>")

        commanding = [any("This worker commands" in line for line in worker.lines) for worker in workers]
        commander, bystander = (one, other) if commanding[0] else (other, one)
        assert sorted(commanding) == [False, True]
        await bystander.press(path, "acknowledge")
        await commander.until_shown(path, "Acknowledged by local")
        await bystander.press(path, "release", "the loop is mended")
        await commander.until_shown(path, "RELEASED: agent victim")
        await bystander.until_shown("/commands", "the loop is mended")

        states = [command.state for command in await site.commands() if command.scope == "agent:victim"]
        assert states == [State.KILLED, State.RELEASED]
