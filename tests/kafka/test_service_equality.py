"""The same events give the same decisions through Kafka and from a file, and the books balance."""

import time
from pathlib import Path

import pytest
from kafka_fleet import by_scope, fleet_lines, hours_by_hand, hours_replayed, kills, replayed
from kafka_service import Installation

pytestmark = pytest.mark.kafka
EVENTS = 15_000


async def test_through_kafka_and_from_the_file_the_decisions_are_the_same(kafka: str, tmp_path: Path) -> None:
    lines = fleet_lines(EVENTS, start_s=time.time() - 5_400)
    async with Installation(kafka, tmp_path) as site:
        replay, wanted = replayed(site.settings, lines)
        await site.produce(lines)

        worker = await site.start("a")
        await site.done()

        decided = await site.decisions()
        assert kills(wanted)
        assert by_scope(decided) == by_scope(wanted)
        assert {(c.scope, c.incident_id) for c in await site.commands() if c.state == "killed"} == kills(wanted)
        consumed = await worker.metric("brakeline_events_consumed_total")
        books = [await worker.metric(f"brakeline_events_{what}_total") for what in BOOKED]
        assert consumed == len(lines) == sum(books)
        hours = await site.hours()
        assert hours == hours_replayed(replay)
        assert {key: usage[:2] for key, usage in hours.items()} == hours_by_hand(lines)


BOOKED = ("accepted", "duplicate", "late", "quarantined")
