"""From a runaway's first event to its first allowed call again, with nothing but the page in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from browsing import Window
from playwright.async_api import expect
from waiting import until

from streams.demo.show import GIVE_UP_S, ONSET_S, Show
from streams.demo.stage import Stage, stage
from streams.outlet import Outlet

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 10
LOOKUP_S = 30.0


class Watched(Show):
    """The demo's fleet, whose runaway is released by whoever looks at the page."""

    def __init__(self, scene: Stage) -> None:
        super().__init__(scene, SEED, time.time())
        self.refused = asyncio.Event()
        self.released = asyncio.Event()
        self.worked = asyncio.Event()

    async def _direct(self, outlet: Outlet, client: aiohttp.ClientSession) -> None:
        assert await self._until(lambda: self.story.refused_at_s is not None, ONSET_S + GIVE_UP_S)
        self.refused.set()
        await self.released.wait()
        self.story.released_at_s = time.time()
        await until(lambda: self._works(outlet, client))
        self.worked.set()

    async def _works(self, outlet: Outlet, client: aiohttp.ClientSession) -> bool:
        await self._call(outlet, client, self._ordinary_call())
        return self.story.worked_again_at_s is not None

    async def until_refused(self) -> None:
        await asyncio.wait_for(self.refused.wait(), 90)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, None) as made:
        yield made


async def test_a_runaway_is_seen_opened_and_released_and_the_sidecar_allows_again(scene: Stage, window: Window) -> None:
    show = Watched(scene)
    playing = asyncio.create_task(show.play())
    async with window.open() as tab:
        await tab.goto(scene.service)
        # The table fills by itself while events flow.
        await expect(tab.locator("#agents tbody tr:not(.empty)").nth(5)).to_be_visible(timeout=60_000)
        await show.until_refused()

        killed = tab.locator("#agents tr.killed:not(.run)")
        await expect(killed).to_have_count(1, timeout=15_000)
        await window.picture(tab, "end-to-end-table")
        await tab.locator("select[name=state]").select_option("stopped")
        await tab.wait_for_url("**state=stopped")
        await expect(tab.locator("#agents tbody tr:not(.run)")).to_have_count(1)
        await killed.get_by_role("link").click()

        await expect(tab.get_by_role("heading", level=1)).to_contain_text("KILLED")
        await expect(tab.locator(".did")).to_contain_text("obeyed by 1 of 1", timeout=15_000)
        await expect(tab.locator(".obeys li.yes")).to_contain_text("demo-gateway")
        await expect(tab.locator("#chart canvas")).to_be_visible()
        await window.picture(tab, "end-to-end-incident", whole=True)
        await tab.get_by_label("Why?").fill("the loop is mended")
        await tab.get_by_role("button", name="Release").click()
        await expect(tab.get_by_role("heading", level=1)).to_contain_text("RELEASED", timeout=15_000)
        await expect(tab.locator(".timeline").first).to_contain_text("the loop is mended")
        show.released.set()
        await asyncio.wait_for(show.worked.wait(), 15)
        await window.picture(tab, "end-to-end-released", whole=True)

        await tab.goto(f"{scene.service}/commands")
        audit = tab.get_by_role("region", name="Audit")
        await expect(audit).to_contain_text("the loop is mended")
        await expect(audit).to_contain_text("accepted")
    await asyncio.wait_for(playing, 30)


async def test_a_call_is_attributed_within_half_a_minute(scene: Stage, window: Window) -> None:
    event = {
        "event_id": "req-4711", "ts": time.time(), "agent": "a", "team": "research", "model": "gpt-4o",
        "input_tokens": 1_000, "output_tokens": 200, "cost_center": "cc-42", "product": "assistant",
    }  # fmt: skip
    from msgspec import json

    from streams.outlet import Message

    async with Outlet({"bootstrap_servers": scene.bootstrap}) as outlet:
        await outlet.send([Message("demo.events", b"a", json.encode(event), None, round(time.time() * 1000))])
    began_s = time.time()
    async with window.open() as tab:
        await tab.goto(f"{scene.service}/spend?by=cost_center&span=hour&event=req-4711")
        await expect(tab.locator("#found")).to_contain_text("cc-42", timeout=1000 * LOOKUP_S)
        print(f"\na call was attributed {time.time() - began_s:.1f} s after its event")
        await expect(tab.locator("table.spend")).to_contain_text("cc-42", timeout=1000 * LOOKUP_S)
    assert time.time() - began_s < LOOKUP_S
