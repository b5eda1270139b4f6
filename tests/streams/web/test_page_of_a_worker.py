"""The page isn't worth a worker: whatever fails in it is tried again, and what could not be told is told later."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from feeding import batch, engine, event
from signing import TRUST

from streams.broadcast import Broadcast
from streams.outlet import Message, Outlet, UndeliveredError
from streams.pulse import decode_hour
from streams.reload import Reading
from streams.settings import Settings
from streams.topology import NAMES
from streams.web import assembly
from streams.web.assembly import WorkersPage

NAMED = {what: what for what in NAMES}


class Broken(Outlet):
    """Delivers nothing until it is mended."""

    def __init__(self) -> None:
        super().__init__({})
        self.mended = False
        self.sent: list[Message] = []

    async def send(self, messages: Iterable[Message]) -> None:
        if not self.mended:
            raise UndeliveredError("no acknowledgement")
        self.sent += messages


def page_of(settings: Settings, reading: Callable[[], Reading] = Reading) -> WorkersPage:
    """The page of a worker that has no broker."""
    return WorkersPage(
        lambda: settings, reading, list, {}, client={"bootstrap_servers": "127.0.0.1:9"}, named=NAMED, partitions={},
        trust=TRUST, outlet=Broken(), clock=lambda: 0.0,
    )  # fmt: skip


async def test_an_hour_that_could_not_be_told_is_told_again() -> None:
    judged, outlet = engine(), Broken()
    judged.feed(batch([event(0)]))
    broadcast = Broadcast({("events", 0): judged}, outlet, NAMED)
    with pytest.raises(UndeliveredError):
        await broadcast.tell(spend=True)
    outlet.mended = True
    await broadcast.tell(spend=True)
    await broadcast.tell(spend=True)

    hours = [decode_hour(message.value) for message in outlet.sent]
    assert [hour.usage[0][1].calls for hour in hours if hour is not None] == [1]


async def test_a_failure_of_the_page_is_tried_again_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(assembly, "RETRY_S", 0.0)
    tried = asyncio.Semaphore(0)

    async def fail(*_: Any) -> None:
        tried.release()
        raise RuntimeError("a mistake of ours")

    settings = Settings()
    page = page_of(settings)
    for name in ("follow", "follow_kills"):
        monkeypatch.setattr(page._reader, name, fail)
    running = asyncio.create_task(page.run())
    async with asyncio.timeout(10):
        for _ in range(6):
            await tried.acquire()
    assert not running.done()
    assert "a mistake of ours" in caplog.text
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_page_is_switched_on_and_off_while_the_worker_runs() -> None:
    off, on = (Settings.model_validate({"page": {"enabled": enabled}}) for enabled in (False, True))
    page = page_of(off)
    app = web.Application()
    page.mount(app)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/")).status == 404
        page.reconfigure(on)
        assert (await client.get("/")).status == 200
        page.reconfigure(off)
        assert (await client.get("/")).status == 404


@pytest.mark.parametrize(
    ("given", "reads"),
    [
        ({"page": {"enabled": False}}, False),
        ({"page": {"enabled": False}, "slack": {"token": "t", "channel": "C"}}, True),
        ({}, True),
    ],
)
async def test_the_topics_are_read_where_the_page_or_slack_needs_them_and_always_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], reads: bool
) -> None:
    begun = []

    def step(name: str) -> Any:
        async def run() -> None:
            begun.append(name)
            await asyncio.Event().wait()

        return run

    settings = Settings.model_validate(given)
    page = page_of(settings)
    for part, name in ((page._reader, "follow"), (page._reader, "follow_kills"), (page._broadcast, "run")):
        monkeypatch.setattr(part, name, step(name))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(page.run(), 0.05)
    assert sorted(begun) == (["follow", "follow_kills", "run"] if reads else ["run"])


async def test_the_page_says_in_a_sentence_what_needs_a_restart() -> None:
    settings, reading = Settings(), Reading(needs_restart=("service.web_port",))
    page = page_of(settings, lambda: reading)
    app = web.Application()
    page.mount(app)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/settings")).text()
    sentence = "Restart the workers for service.web_port: until then the service goes on with its old value."
    assert sentence == reading.restart
    assert sentence in text


async def test_what_nobody_wants_any_more_is_no_longer_read_nor_held(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def follow() -> None:
        page.board.take("decisions", None, b"", 1.0)
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    on, off = Settings(), Settings.model_validate({"page": {"enabled": False}})
    page = page_of(on)
    for name in ("follow", "follow_kills"):
        monkeypatch.setattr(page._reader, name, follow)
    running = asyncio.create_task(page.run())
    async with asyncio.timeout(10):
        for settings in (on, off, on):
            page.reconfigure(settings)
            for _ in range(2):
                await (begun if settings is on else ended).acquire()
        await asyncio.sleep(0)
    assert page.board.read.records == 2, "of the second reading only"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
