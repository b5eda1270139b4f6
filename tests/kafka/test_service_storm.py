"""Workers that are killed, or sleep, at any moment: nothing lost, nothing counted twice, the same agents stopped.

`BRAKELINE_STORM=1` makes it 200,000 events and 20 kills.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from kafka_fleet import by_scope, fleet_lines, hours_by_hand, hours_replayed, kills, replayed
from kafka_service import Installation, ServiceWorker
from waiting import until

FULL = os.environ.get("BRAKELINE_STORM") == "1"
EVENTS, KILLS = (200_000, 20) if FULL else (20_000, 4)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900 if FULL else 180)]


class Storm:
    """Workers by name, and how they are killed."""

    def __init__(self, site: Installation, seed: int) -> None:
        self.site = site
        self.dice = random.Random(seed)
        self.workers: dict[str, ServiceWorker] = {}
        self.killed: Counter[str] = Counter()

    async def start(self, *names: str) -> None:
        for name in names:
            self.workers[name] = await self.site.start(name)

    async def strike(self, lines: list[bytes]) -> None:
        """Produce events and kill one worker once its group has begun to work on them."""
        before = sum(await self.site.ends(self.site.changelog))
        flowing = asyncio.ensure_future(self.site.produce(lines))
        rows = self.dice.randrange(1, 60)

        async def at_work() -> bool:
            written = sum(await self.site.ends(self.site.changelog)) - before
            return written >= rows or (flowing.done() and await self.site.lag(self.site.events) == 0)

        await until(at_work)
        name = self.dice.choice(sorted(self.workers))
        self.killed[name] += 1
        await self.workers[name].end(signal.SIGKILL)
        await self.start(name)
        await flowing


async def test_nothing_is_lost_and_nothing_counted_twice_in_a_storm(kafka: str, tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print("seed", seed)
    begun_s = time.monotonic()
    lines = fleet_lines(EVENTS, start_s=time.time() - (36_000 if FULL else 5_400))
    each = len(lines) // (KILLS + 1)
    # A kill that has ended meanwhile would be ordered again when its decision is read again.
    async with Installation(kafka, tmp_path, policy={"kill_duration_s": 86_400}) as site:
        storm = Storm(site, seed)
        await storm.start(*"abc"[: 3 if FULL else 2])
        for number in range(KILLS):
            await storm.strike(lines[number * each : (number + 1) * each])
        await site.produce(lines[KILLS * each :])
        await site.done(240 if FULL else 60)

        await check_uninterrupted(site, lines)
        print(f"{len(lines)} events, {dict(storm.killed)} killed; {time.monotonic() - begun_s:.0f} s")


async def test_a_worker_that_sleeps_while_its_partitions_move_changes_nothing(kafka: str, tmp_path: Path) -> None:
    lines = fleet_lines(20_000, start_s=time.time() - 5_400)
    async with Installation(kafka, tmp_path, policy={"kill_duration_s": 86_400}) as site:
        sleeper = await site.start("a")
        for first, successor in ((0, "b"), (8_000, "c")):
            before = sum(await site.ends(site.changelog))
            flowing = asyncio.ensure_future(site.produce(lines[first : first + 8_000]))

            async def at_work(before: int = before) -> bool:
                return sum(await site.ends(site.changelog)) > before + 20

            await until(at_work)
            sleeper.process.send_signal(signal.SIGSTOP)
            await flowing
            sleeping, sleeper = sleeper, await site.start(successor)
            await site.done()
            sleeping.process.send_signal(signal.SIGCONT)
        await site.produce(lines[16_000:])
        await site.done()

        await check_uninterrupted(site, lines)


async def check_uninterrupted(site: Installation, lines: list[bytes]) -> None:
    """Compare what workers left behind with the same events judged in one go: all is as if nothing had happened."""
    replay, wanted = replayed(site.settings, lines)
    hours = await site.hours()
    assert {key: usage[:2] for key, usage in hours.items()} == hours_by_hand(lines)
    assert hours == hours_replayed(replay)
    decided = await site.decisions()
    assert kills(wanted)
    assert kills(decided) == kills(wanted)
    assert {s: set(found) for s, found in by_scope(decided).items()} == {
        s: set(found) for s, found in by_scope(wanted).items()
    }
    ordered = Counter((c.scope, c.incident_id) for c in await site.commands() if c.state == "killed")
    assert ordered == dict.fromkeys(kills(wanted), 1)
    print(f"{len(hours)} hours of agents, {len(ordered)} kills; {len(decided)} decisions, {len(wanted)} different")
