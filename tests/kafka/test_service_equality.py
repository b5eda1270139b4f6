"""The same events through `produce` and `run` and through `backtest`: the same decisions, and the books balance.

`BRAKELINE_EVENTS=FILE[:FILE...]` takes files of yours instead of a simulated fleet: JSON lines in ingest order.
"""

import gzip
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_fleet import RUBBISH, fleet_lines, hours_by_hand, hours_replayed, replayed, spoiled
from kafka_service import PARTITIONS, Installation

from alerts.decision import Action
from streams.replay import decision_line, open_lines

GIVEN = [Path(name).resolve() for name in os.environ.get("BRAKELINE_EVENTS", "").split(os.pathsep) if name]
DEADLINE_S = 3_600 if GIVEN else 60
BOOKED = ("accepted", "duplicate", "late", "quarantined")

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(2 * DEADLINE_S + 60)]


@pytest.fixture(params=GIVEN or [None], ids=[path.name for path in GIVEN] or ["simulated"])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param is not None:
        return Path(request.param)
    made = tmp_path / "events.jsonl.gz"
    made.write_bytes(gzip.compress(b"\n".join(spoiled(fleet_lines(15_000, start_s=time.time() - 5_400)))))
    return made


async def test_through_kafka_and_from_the_file_the_decisions_are_the_same(
    kafka: str, tmp_path: Path, events: Path
) -> None:
    lines = [line.strip() for line in open_lines(str(events)) if line.strip()]
    async with Installation(kafka, tmp_path) as site:
        worker = await site.start("a")
        begun_s = time.monotonic()
        await site.command("produce", str(events), "--speed", "max")
        await site.done(DEADLINE_S)
        took_s = time.monotonic() - begun_s

        wanted = tmp_path / "decisions.jsonl"
        await site.command("backtest", str(events), "--shards", str(PARTITIONS), "--decisions", str(wanted))
        expected = [msgspec.json.decode(line) for line in wanted.read_bytes().splitlines()]
        decided = [decision_line(d) for d in await site.decisions()]
        assert by_scope(decided) == by_scope(expected)

        killed = {(d["scope"], d["incident_id"]) for d in expected if d["action"] == Action.KILL}
        assert {(c.scope, c.incident_id) for c in await site.commands() if c.state == "killed"} == killed
        assert killed or GIVEN

        books = {what: await worker.metric(f"brakeline_events_{what}_total") for what in BOOKED}
        assert await worker.metric("brakeline_events_consumed_total") == len(lines) == sum(books.values())
        assert await worker.metric("brakeline_events_unwritten") == 0
        assert GIVEN or books["quarantined"] == sum(line in RUBBISH for line in lines) > 0
        hours = await site.hours()
        assert hours == hours_replayed(replayed(site.settings, lines)[0])
        by_hand = hours_by_hand(lines)
        assert {key: usage[:2] for key, usage in hours.items()} == {key: by_hand[key] for key in hours}
        last_day_s = max(start_s for _, start_s in by_hand) - 86_400
        assert {key for key in by_hand if key[1] > last_day_s} <= hours.keys()
        print(f"{events.name}: {len(lines):,} events in {took_s:.0f} s, {len(lines) / took_s:,.0f} a second; {books};")
        print(f"{len(expected)} decisions and {len(killed)} kills as from the file, {len(hours)} hours as by hand")


def by_scope(decisions: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what was decided of each scope, in order."""
    found = defaultdict[str, list[dict[str, Any]]](list)
    for decision in decisions:
        found[decision["scope"]].append(decision)
    return dict(found)
