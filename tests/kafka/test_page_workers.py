"""Two workers, two pages, one truth: each shows what both do, and a press on either is carried out."""

import re
import time
from pathlib import Path

import aiohttp
import pytest
from kafka_service import Installation
from page_visits import AGENTS, LIMITS, Browser, events

from alerts.gateway.wire import State

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


async def test_either_page_shows_all_and_a_press_on_either_is_carried_out(kafka: str, tmp_path: Path) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # Else it keeps none of an address without a name.
    async with Installation(kafka, tmp_path, limits=LIMITS) as site, aiohttp.ClientSession(cookie_jar=jar) as client:
        workers = [await site.start(name) for name in "ab"]
        one, other = (Browser(client, worker) for worker in workers)
        for page in (one, other):  # A call isn't told if its partition moves to who comes late.
            await page.until_shown("/", "Agents")
        await site.produce(events(time.time()))

        path = ""
        for page in (one, other):
            await page.until_shown("/?state=stopped", "agent victim")
            table = await page.until_shown("/?state=stopped", 'href="/incidents/')  # It follows the kill.
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
