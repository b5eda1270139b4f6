"""A flood of unusable records on a real Kafka: the books balance, and neither quarantine nor log is flooded."""

import time
from itertools import cycle, islice
from pathlib import Path

import msgspec
import pytest
from kafka_fleet import fleet_lines
from kafka_service import PARTITIONS, Installation

from streams.bench.garbage import RUBBISH, mixed

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
EVENTS, FLOOD = 2_000, 20_000
PER_MINUTE = 600


async def test_a_flood_is_counted_to_the_last_record_and_kept_in_samples(kafka: str, tmp_path: Path) -> None:
    good = fleet_lines(EVENTS, start_s=time.time() - 5_400)
    # Rubbish has no time of its own: the flood is of the minute of the event before it.
    lines = [*mixed(good, 0.5), good[-1], *islice(cycle(RUBBISH), FLOOD)]
    bad = sum(line in RUBBISH for line in lines)
    async with Installation(kafka, tmp_path) as site:
        worker = await site.start("a")
        await site.produce(lines)
        await site.done()

        books = {what: await worker.metric(f"brakeline_events_{what}_total") for what in BOOKED}
        assert await worker.metric("brakeline_events_consumed_total") == len(lines) == sum(books.values())
        assert books["quarantined"] == bad > FLOOD
        kept = [msgspec.json.decode(r.value) for r in await site.read(site.named("quarantine"), PARTITIONS)]
        reasons = {(record["partition"], record["reason"]) for record in kept}
        assert len(reasons) > 1
        assert len(kept) <= bad - FLOOD + PER_MINUTE * len(reasons) < bad / 2
        assert all(len(record["sample"]) <= 1_024 and "secret" not in record["sample"] for record in kept)
        assert len(worker.lines) < 50


BOOKED = ("accepted", "duplicate", "late", "quarantined")
