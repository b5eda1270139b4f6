"""The page of one worker, put together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from alerts.chart import Point
from alerts.commands import Orders
from alerts.gateway.ending import end
from alerts.gateway.keys import Trust
from alerts.incident import Incident
from streams import audit
from streams.broadcast import PULSE_S, Broadcast
from streams.engine import Engine
from streams.outlet import Message, Outlet
from streams.reload import Reading
from streams.settings import Settings
from streams.web.access import Access
from streams.web.actions import page_desk
from streams.web.board import Board
from streams.web.drawing import chart
from streams.web.histories import Histories
from streams.web.page import Page
from streams.web.reader import Reader
from streams.web.screens import Facts, Screens

RETRY_S = 5.0
KEEP_S = 60.0
"""Between two looks for charts that are to be kept."""
PULSES = 20
"""Within so many pulses of a busy worker the shards have told what led to an incident."""

log = logging.getLogger(__name__)


class WorkersPage:
    """`mount` adds the addresses; `run` tells all pages what this worker sees, and keeps the board up to date.

    The board is also what Slack's charts and clicks need: it is kept where the page or Slack is in the settings.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        reading: Callable[[], Reading],
        troubles: Callable[[], Sequence[str]],
        engines: Mapping[tuple[str, int], Engine],
        *,
        client: Mapping[str, Any],
        named: Mapping[str, str],
        partitions: Mapping[str, int],
        trust: Trust,
        outlet: Outlet,
        clock: Callable[[], float],
        commands: Callable[[], bool] = lambda: True,
    ) -> None:
        """`commands` tells whether this is the worker that keeps what is to be kept once."""
        env = settings().keys.env
        # Without keys: this book of the kill topic can only be read.
        self.board = Board(env, Orders(env, "page", {}), 0)
        self._wanted, self._unwanted = asyncio.Event(), asyncio.Event()
        self._clock = clock
        self._commands = commands
        self._outlet = outlet
        self._topic = named["spend"]
        histories = self._histories = Histories()
        self._broadcast = Broadcast(engines, outlet, named)
        self._reader = Reader(self.board, histories, client, named, partitions, trust, clock)

        self._page = Page(
            self.board,
            Screens(self.board, Facts(settings, reading, troubles)),
            histories,
            Access(settings().page),
            page_desk(self.board, outlet, named, clock),
            partial(audit.note, outlet, named["audit"]),
            clock,
        )
        self.reconfigure(settings())

    def reconfigure(self, settings: Settings) -> None:
        """Let in whom these settings let in, and keep what they ask for."""
        page = settings.page
        self._page.open_to(Access(page) if page.enabled else None)
        self.board.calls.keep(page.calls_kept if page.enabled else 0)
        wanted = page.enabled or settings.slack.token is not None
        for event, is_so in ((self._wanted, wanted), (self._unwanted, not wanted)):
            event.set() if is_so else event.clear()

    async def history(self, incident: Incident) -> list[Point]:
        """Return what an incident's agents spent by minute, beside what is usual; nothing where nothing is known."""
        for _ in range(PULSES):
            await asyncio.sleep(PULSE_S)
            drawn = chart(self.board, incident, self._histories.of(incident.id), self._clock())
            seen = [(at_s, usd) for at_s, usd in zip(drawn["at_s"], drawn["seen"], strict=True) if usd is not None]
            if any(usd for _, usd in seen):
                return [Point(float(at_s), usd, 0.0, drawn["peak"]) for at_s, usd in seen]
        return []

    def mount(self, app: web.Application) -> None:
        """Add the page's addresses."""
        self._page.mount(app)

    async def run(self) -> None:
        """Tell and read until cancelled. What fails is logged and tried again: the page isn't worth a worker."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_again(self._broadcast.run))
            while True:
                await self._wanted.wait()
                steps = (self._reader.follow, self._reader.follow_kills, self._keep_charts)
                reading = [group.create_task(_again(step)) for step in steps]
                await self._unwanted.wait()
                await end(reading)
                self._reader.forget()
                log.info("Neither the page nor Slack is in the settings any more: their topics are no longer read")

    async def _keep_charts(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            if self._commands() and self.board.read.complete:
                await self._outlet.send([Message(self._topic, *kept, 0) for kept in self._histories.to_keep()])


async def _again(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception as error:
            log.warning("The page fails, and tries again in %.0f s: %s: %s", RETRY_S, type(error).__name__, error)
        await asyncio.sleep(RETRY_S)
