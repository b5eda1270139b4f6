"""A backtest of what is still in Kafka: the same as of a file, a range by time, and nothing changed on the broker."""

import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_fleet import fleet_lines, spoiled
from kafka_service import PARTITIONS, Installation

from streams.replay import timestamp_ms

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
EVENTS = 15_000


@pytest.fixture
async def site(kafka: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with Installation(kafka, tmp_path) as found:
        yield found


def fleet() -> list[bytes]:
    return spoiled(fleet_lines(EVENTS, start_s=time.time() - 5_400))


async def backtest(site: Installation, folder: Path, *arguments: str) -> tuple[list[Any], str]:
    """Return the decisions by scope, each scope's in order, and what was said."""
    out = folder / "decisions.jsonl"
    said = await site.command("backtest", *arguments, "--decisions", str(out))
    found = [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    return sorted(found, key=lambda d: d["scope"]), said


async def test_from_kafka_the_decisions_are_those_of_the_same_events_in_a_file(
    site: Installation, tmp_path: Path
) -> None:
    lines, file = fleet(), tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines)))
    await site.produce(lines)
    groups = await site.admin.list_consumer_groups()

    from_file, said_of_file = await backtest(site, tmp_path, str(file), "--shards", str(PARTITIONS))
    from_kafka, said_of_kafka = await backtest(site, tmp_path, "--from-kafka")

    assert [d for d in from_file if d["action"] == "kill"]
    assert from_kafka == from_file
    assert books(said_of_kafka) == books(said_of_file)
    assert await site.admin.list_consumer_groups() == groups


def books(said: str) -> list[str]:
    """Return what was counted: the lines without what it took."""
    return [line.partition(";")[0] for line in said.splitlines()]


async def test_only_what_arrived_from_since_to_before_until_is_judged(site: Installation, tmp_path: Path) -> None:
    lines = fleet_lines(4_000, start_s=time.time() - 5_400)
    times = [timestamp_ms(line, 0) for line in lines]
    since_ms, until_ms = times[1_000], times[3_000]
    within = [line for line, at_ms in zip(lines, times, strict=True) if since_ms <= at_ms < until_ms]
    file = tmp_path / "within.jsonl"
    file.write_bytes(b"\n".join(within))
    await site.produce(lines)

    from_file, _ = await backtest(site, tmp_path, str(file), "--shards", str(PARTITIONS))
    period = ("--since", str(since_ms / 1000), "--until", str(until_ms / 1000))
    from_kafka, said = await backtest(site, tmp_path, "--from-kafka", *period)

    assert f"{len(within):,} events" in said
    assert from_kafka == from_file


async def test_an_empty_range_and_a_missing_topic_are_said(site: Installation, tmp_path: Path) -> None:
    _, said = await backtest(site, tmp_path, "--from-kafka", "--since", "1h")

    assert "0 events" in said
    with pytest.raises(AssertionError, match=f"topic {site.name}-no.events does not exist"):
        site._values["topics"]["prefix"] += "-no"
        await site.command("backtest", "--from-kafka")
