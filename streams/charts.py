"""Puts an incident's chart into the thread of its message, beside everything that matters more."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from alerts.chart import Mark, Point, spend_chart
from alerts.incident import Incident
from alerts.message import View, headline
from alerts.sink import Place
from alerts.slack import Slack
from streams.courier import Posted

History = Callable[[Incident], Awaitable[Sequence[Point]]]


def charting(slack: Slack, history: History) -> Posted:
    """Return the errand to run after a first message; `history` answers with what was seen lately, or nothing."""

    async def draw(incident: Incident, place: Place) -> None:
        points = await history(incident)
        if len(points) < 2:
            return
        title = headline(View(incident=incident))
        mark = Mark(incident.opened_s, incident.in_force or incident.action.value)
        png = await asyncio.to_thread(spend_chart, points, [mark], title)
        await slack.chart(place, png, title)

    return draw
