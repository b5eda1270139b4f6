"""A small world for the notifier: topics, a clock, and a Slack that outlive it."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from fake_slack import FakeSlack
from incident_life import decision

from alerts.incident import Incident, Outcome
from alerts.message import View
from alerts.notices import Telling
from alerts.sink import Place
from alerts.slack import Slack
from streams.notifier import Notifier, Route

NOW = 1_000.0


class CrashError(Exception):
    """The process dies here."""


class World:
    """The topics, the clock and Slack outlive a notifier; `crash_at` counts writes down to a death."""

    def __init__(self, slack: FakeSlack | None = None) -> None:
        self.slack = slack
        self.now_s = NOW
        self.rows: dict[str, bytes | None] = {}
        self.alerts: list[dict[str, Any]] = []
        self.crash_at: int | None = None
        self.counts: deque[tuple[str, str]] = deque()
        self.notifier = self.start()

    def start(self, *more: Route) -> Notifier:
        routes = [*more]
        if self.slack is not None:
            sink = Slack("xoxb-1", "C1", base_url=self.slack.base_url, timeout_s=1.0)
            routes.append(Route(sink, Telling(), pace_s=1.0))
        made = Notifier(self.put, routes, now_s=lambda: self.now_s, counted=lambda *c: self.counts.append(c))
        made.restore(self.rows)
        self.notifier = made
        return made

    async def put(self, topic: str, key: str, value: bytes | None) -> None:
        await asyncio.sleep(0)
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                raise CrashError
        if topic == "brakeline.alerts":
            assert value is not None
            self.alerts.append(json.loads(value))
        else:
            self.rows[key] = value

    async def pass_time(self, span_s: float) -> None:
        """Let the notifier do all that it does within `span_s` of its own clock."""
        end_s = self.now_s + span_s
        while self.now_s < end_s:
            await self.notifier.tick()
            waits = [await courier.turn() for courier in self.notifier.couriers]
            self.now_s += min([0.5, *waits]) or 0.001

    async def kill(self, number: int = 0, **more: Any) -> Incident:
        made = decision(f"a{number}", **more)
        await self.notifier.decided(made, Outcome(1, number + 1), offset=number)
        found = self.notifier.book.find(made.incident_id)
        assert found is not None
        return found


class Recorder:
    """A sink that hands each incident's scope to a function."""

    def __init__(self, name: str, seen: Callable[[str], None]) -> None:
        self.name, self.seen = name, seen

    async def post(self, view: View) -> Place:
        self.seen(view.incident.scope)
        return Place("r", view.incident.id)

    async def update(self, place: Place, view: View) -> None:
        return None

    async def nudge(self, place: Place, view: View) -> None:
        return None

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        return None
