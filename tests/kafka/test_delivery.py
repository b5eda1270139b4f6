"""What is committed, and what is counted, whatever happens to the workers."""

import os
import random
import signal

import pytest
from kafka_workers import Group
from waiting import until

pytestmark = pytest.mark.kafka
ROUNDS = int(os.environ.get("BRAKELINE_STORM_ROUNDS", "5"))


async def test_a_clean_stop_commits_all_that_was_processed(kafka: str) -> None:
    async with Group(kafka) as group:
        await group.produce(8_000)
        worker = await group.start()
        await worker.says("batch", group.partitions)

        assert await worker.end(signal.SIGTERM) == 0

        committed, totals = await group.committed(), await group.totals()
        assert committed == [applied + 1 for applied, _, _ in totals]


async def test_sigterm_in_the_middle_finishes_the_batch_in_work_and_no_other(kafka: str) -> None:
    async with Group(kafka) as group:
        await group.produce(200_000)
        worker = await group.start(pause_s=0.3)
        await worker.says("batch")

        assert await worker.end(signal.SIGTERM) == 0

        committed, totals = await group.committed(), await group.totals()
        assert committed == [applied + 1 for applied, _, _ in totals]
        assert 0 < sum(committed) < 200_000


async def test_after_kill_9_the_state_is_restored_and_every_partition_commits_to_its_end(kafka: str) -> None:
    async with Group(kafka) as group:
        for _ in range(2):
            await group.produce(16_000)
            worker = await group.start(instance="a")
            await worker.says("batch", 4)
            await worker.end(signal.SIGKILL)
            await group.produce(16_000)
        worker = await group.start(instance="a")
        await worker.says("restored")
        await group_done(group)

        assert await group.totals() == group.expected()


async def test_a_batch_that_fails_ends_the_process_and_is_delivered_again(kafka: str) -> None:
    async with Group(kafka) as group:
        await group.produce(8_000, batch=100)
        broken = await group.start(fail_at=150, instance="a")

        assert await broken.ended() == 1
        assert broken.count("failed ValueError: this event can't be judged") == 1
        assert (await group.committed())[0] <= 150

        await group.start(instance="a")
        await group_done(group)
        assert await group.totals() == group.expected()


async def test_a_second_worker_joins_and_leaves_and_nothing_is_lost_or_counted_twice(kafka: str) -> None:
    async with Group(kafka) as group:
        await group.produce(40_000)
        first = await group.start(pause_s=0.02)
        await first.says("batch")
        second = await group.start(pause_s=0.02)
        await second.says("restored")
        await group.produce(40_000)
        await second.says("batch")
        await first.says("restored", 2)
        assert await second.end(signal.SIGTERM) == 0
        await group.produce(40_000)
        await first.says("restored", 3)
        await group_done(group)

        assert await group.totals() == group.expected()


async def test_nothing_is_lost_in_a_storm_of_200_000_events(kafka: str) -> None:
    seed = random.randrange(1_000_000)
    print("seed", seed)
    dice = random.Random(seed)
    async with Group(kafka) as group:
        workers = {name: await group.start(instance=name, pause_s=0.05) for name in "ab"}
        for _ in range(ROUNDS):
            name = dice.choice("ab")
            await workers[name].says("restored")
            await group.produce(200_000 // ROUNDS)
            await workers[name].says("batch")
            await workers[name].end(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            workers[name] = await group.start(instance=name, pause_s=dice.choice([0, 0.05]))
        await group_done(group)

        assert sum(group.sent) == 200_000
        assert await group.totals() == group.expected()


@pytest.mark.parametrize("lease", ["kept", "endless"])
async def test_a_worker_that_slept_while_its_partitions_moved_changes_nothing_and_ends(kafka: str, lease: str) -> None:
    async with Group(kafka, partitions=2) as group:
        await group.produce(4_000)
        sleeper = await group.start(instance="a", pause_s=1, lease=lease)
        await sleeper.says("adding")
        sleeper.process.send_signal(signal.SIGSTOP)
        await group.start(instance="b")
        await group_done(group)
        await group.produce(4_000)
        await group_done(group)

        sleeper.process.send_signal(signal.SIGCONT)

        assert await sleeper.ended() == 1
        assert sleeper.count("failed LeaseError" if lease == "kept" else "failed FencedError") == 1
        await group.produce(4_000)
        await group_done(group)
        assert await group.totals() == group.expected()


async def group_done(group: Group) -> None:
    try:
        await until(group.all_committed, 40)
    except TimeoutError:
        said = [worker.lines[-12:] for worker in group.workers]
        pytest.fail(f"commits stand still at {await group.committed()} of {group.sent}: {said}")
