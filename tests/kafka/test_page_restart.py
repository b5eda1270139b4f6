"""What the page shows of hours, calls and incidents is on the topics: a worker that starts anew shows it again."""

import time
from pathlib import Path

import aiohttp
import pytest
from kafka_service import Installation
from msgspec import msgpack
from page_visits import LIMITS, Browser, events
from waiting import until

from streams.outlet import Message, Outlet
from streams.web.histories import KEY, History

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


async def test_spend_calls_and_an_incidents_chart_survive_a_restart(kafka: str, tmp_path: Path) -> None:
    async with Installation(kafka, tmp_path, limits=LIMITS) as site, aiohttp.ClientSession() as client:
        worker = await site.start("a")
        page = Browser(client, worker)
        await page.until_shown("/", "Agents")
        await site.produce(events(time.time()))
        before = await page.until_shown("/spend?by=cost_center&span=week", "cc-victim")
        table = await page.until_shown("/?state=stopped", "agent victim")
        incident = table.partition('href="/incidents/')[2].partition('"')[0]
        await page.until_shown("/spend?span=hour", "100</td>")
        totals = [(await page.text(f"/spend?span={span}")).partition("<tfoot>")[2] for span in SPANS]
        assert "cc-agent-7" in before
        worker.process.terminate()
        await worker.process.wait()

        now_min = int(time.time()) // 60
        noted = History(1, now_min - 29, now_min - 9, [1_000_000] * 20)
        async with Outlet(site.settings.kafka.client_kwargs()) as outlet:
            kept = Message(site.named("spend"), KEY + incident.encode(), msgpack.encode(noted), 0)
            await outlet.send([kept])
        again = Browser(client, await site.start("b"))
        await again.until_shown("/?state=stopped", "agent victim")
        await again.until_shown("/spend?event=agent-7-3", "<b>cc-agent-7</b>")

        async def same() -> bool:
            return [(await again.text(f"/spend?span={span}")).partition("<tfoot>")[2] for span in SPANS] == totals

        await until(same, 40)
        async with client.get(f"{again.url}/incidents/{incident}/chart") as answer:
            drawn = await answer.json()
        assert drawn["seen"].count(1.0) >= 19, "what was kept of the minutes before"


SPANS = ("hour", "day", "week")
