"""The chart shows what is usual, what was seen and where it was stopped, and goes into the message's thread."""

import struct

import pytest
from fake_slack import FakeSlack
from incident_life import decision

from alerts.chart import Mark, Point, spend_chart
from alerts.incident import Incident, Outcome
from alerts.incidents import Book
from alerts.sink import Place
from alerts.slack import Slack
from streams.charts import charting

POINTS = [Point(60.0 * n, 1.0 if n < 30 else 1.3 ** (n - 30), 0.5, 2.0) for n in range(45)]


def test_a_chart_is_a_png_of_known_size() -> None:
    png = spend_chart(POINTS, [Mark(2_600.0, "killed")], "KILLED: agent a$b$c \\x \x00")

    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1200, 500)


def test_a_chart_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="two points"):
        spend_chart(POINTS[:1])


async def test_the_chart_goes_into_the_thread_of_the_message() -> None:
    book = Book()
    book.decided(decision(), 2_600.0, Outcome(1, 1))
    (incident,) = book.incidents.values()

    async def history(_: Incident) -> list[Point]:
        return POINTS

    async with FakeSlack() as slack:
        await charting(Slack("xoxb-1", "C1", base_url=slack.base_url), history)(incident, Place("C1", "17.5"))
        (file,) = slack.files
        assert (file["channel_id"], file["thread_ts"]) == ("C1", "17.5")
        assert next(iter(slack.uploads.values())).startswith(b"\x89PNG")
