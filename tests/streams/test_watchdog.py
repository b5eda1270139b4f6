"""A partition that stands still is seen, a worker without work isn't."""

from streams.ledger import Progress
from streams.watchdog import Watchdog, underway

A, B = ("events", 0), ("events", 1)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_one_partition_that_stands_still_is_seen_beside_one_that_moves() -> None:
    clock = Clock()
    dog = Watchdog(clock, stall_s=60)
    seen = []
    for clock.now_s in (0, 30, 59, 61):
        seen.append(dog.look({A: Progress(100, 5), B: Progress(1000, int(clock.now_s))}).stalled)

    assert seen == [False, False, False, True]


def test_an_idle_worker_is_alive_and_gets_its_time_when_work_comes() -> None:
    clock = Clock()
    dog = Watchdog(clock, stall_s=60)
    for clock.now_s in (0, 1_000):
        assert not dog.look({A: Progress(5, 5)}).stalled
    clock.now_s = 1_001

    assert not dog.look({A: Progress(6, 5)}).stalled


def test_a_rebalance_that_never_ends_counts_as_standing_still_when_there_was_work() -> None:
    clock = Clock()
    dog = Watchdog(clock, stall_s=60)
    dog.look({A: Progress(9, 5)})
    clock.now_s = 61

    assert dog.look({}).stalled
    assert dog.look({}).lag == 4


def test_a_batch_that_takes_longer_than_a_stall_is_none_as_long_as_it_moves() -> None:
    clock, seen = Clock(), []
    dog = Watchdog(clock, stall_s=60)
    for clock.now_s, applied in ((0, 5), (50, 40), (100, 80), (161, 80)):
        seen.append(dog.look(underway({A: Progress(1000, 5)}, {A: applied})).stalled)

    assert seen == [False, False, False, True]


def test_a_partition_waits_for_its_turn_while_others_are_far_behind_but_not_for_ever() -> None:
    clock, seen = Clock(), []
    dog = Watchdog(clock, stall_s=60)
    for minute in range(12):
        clock.now_s = minute * 60.0
        seen.append(dog.look({A: Progress(100, 5), B: Progress(10**6, minute * 100)}).stalled)

    assert seen.index(True) == 10


def test_nobody_waits_for_a_turn_where_nobody_moves() -> None:
    clock = Clock()
    dog = Watchdog(clock, stall_s=60)
    dog.look({A: Progress(100, 5), B: Progress(10**6, 5)})
    clock.now_s = 60.0

    assert dog.look({A: Progress(100, 5), B: Progress(10**6, 5)}).stalled
