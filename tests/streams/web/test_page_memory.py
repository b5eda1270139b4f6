"""What the page keeps is bounded, and merging is indifferent to repeats, disorder and the number of shards."""

import itertools
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import NOW_S, Filled, agent, fleet
from signing import command

from alerts.gateway.wire import Ack
from streams.attribution import Payer
from streams.pulse import Calls, Pulse, SpendHour, line_of
from streams.web.accounts import Accounts
from streams.web.agents import IDLE_S
from streams.web.calls import RecentCalls
from streams.web.obedience import Obedience
from streams.web.series import MINUTES, Series
from streams.windows import Usage

HOUR_S = int(NOW_S) // 3600 * 3600


def calls(*ids: str) -> Calls:
    return Calls(
        [Payer(team=name) for name in ids], "\n".join(map(line_of, ids)).encode(),
        array("H", range(len(ids))).tobytes(), array("I", [int(NOW_S)] * len(ids)).tobytes(),
        array("Q", [1] * len(ids)).tobytes(),
    )  # fmt: skip


@given(st.lists(st.lists(st.text("ab1\n", min_size=1), min_size=1, max_size=7, unique_by=line_of), max_size=12))
def test_the_newest_calls_are_found_and_no_others(records: list[list[str]]) -> None:
    kept, recent = 8, RecentCalls(8)
    order: list[str] = []
    for each in records:
        recent.add(calls(*each))
        order += map(line_of, each)

    assert recent.count < kept + 7
    for name in {*order, "a", "b", "ab", "ab1"}:
        found = recent.find(name)
        assert (found is not None) == (name in order[len(order) - recent.count :])
        assert found is None or line_of(found.payer.team) == name
    assert set(order[-kept:]) <= set(order[len(order) - recent.count :])


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
def test_accounts_do_not_care_for_order_and_repeats(order: list[int], repeats: list[int]) -> None:
    told = [
        SpendHour(f"events/{number % 2}", HOUR_S - 3600 * (number % 3), [(Payer("a"), Usage(n, n, 100 * n))])
        for number, n in enumerate([1, 2, 3, 4, 5, 6])
    ]
    straight, shuffled = Accounts(), Accounts()
    for each in told:
        straight.take(copied(each))
    for number in (*order, *repeats):
        shuffled.take(copied(told[number]))

    assert straight.statement("team", "day", NOW_S) == shuffled.statement("team", "day", NOW_S)


def copied(told: SpendHour) -> SpendHour:
    return SpendHour(
        told.shard, told.hour_s, [(payer, Usage(u.calls, u.tokens, u.micro_usd)) for payer, u in told.usage]
    )


def test_old_hours_are_closed_to_repeats_and_then_forgotten() -> None:
    accounts = Accounts()
    told = [
        SpendHour(f"events/{shard}", HOUR_S - 3600 * hours_ago, [(Payer("a"), Usage(1, 1, 1_000_000))])
        for hours_ago, shard in itertools.product((0, 60, 160, 200), range(3))
    ]
    for _ in range(2):
        for each in told:
            accounts.take(each)
        accounts.forget(NOW_S)

    assert accounts.statement("team", "week", NOW_S).spend_usd == pytest.approx(9.0)
    assert accounts.statement("team", "day", NOW_S).spend_usd == pytest.approx(3.0)


def test_names_beyond_the_lines_are_summed_up_and_the_unattributed_comes_last() -> None:
    accounts = Accounts()
    usage = [(Payer(name), Usage(1, 1, number)) for number, name in enumerate(["", "a", "b", "c", "d"], 1)]
    accounts.take(SpendHour("events/0", HOUR_S, usage))
    found = accounts.statement("team", "hour", NOW_S, lines_max=2)

    assert [(line.name, round(1e6 * line.spend_usd)) for line in found.lines] == [
        ("d", 5), ("c", 4), ("2 more", 5), ("", 1),
    ]  # fmt: skip
    assert found.spend_usd == pytest.approx(sum(line.spend_usd for line in found.lines))


def test_a_rate_is_of_the_last_sixty_seconds() -> None:
    series = Series(1)
    lane = series.open()
    series.put([lane, lane], [10, 11], [6_000_000, 1_000_000])

    assert series.rates(660.0)[lane] == pytest.approx(7_000_000)
    assert series.rates(690.0)[lane] == pytest.approx(4_000_000)
    assert series.rates(780.0)[lane] == pytest.approx(0.0)


def test_the_ring_over_the_minutes_forgets_what_it_has_passed() -> None:
    series = Series(1)
    lane = series.open()
    series.put([lane, lane, lane], [0, MINUTES - 1, 0], [5, 7, 4])
    assert series.lately([lane], 60.0 * (MINUTES - 1), MINUTES).tolist() == [5, *[0] * (MINUTES - 2), 7]
    series.put([lane, lane], [0, MINUTES], [99, 9])
    assert series.lately([lane], 60.0 * MINUTES, MINUTES).tolist() == [*[0] * (MINUTES - 2), 7, 9]


def test_more_lanes_than_were_made_room_for_keep_what_they_had() -> None:
    series = Series(1)
    lanes = [series.open() for _ in range(5)]
    series.put(lanes, [1] * 5, [lane + 1 for lane in lanes])
    assert [series.lately([lane], 60.0, 1)[0] for lane in lanes] == [lane + 1 for lane in lanes]


def test_an_agent_in_two_shards_is_one_agent_and_its_sum() -> None:
    filled = Filled()
    one = agent("a", NOW_S, [0.0, 1.0])
    filled.pulse([one])
    filled.board.agents.take(Pulse("events/1", NOW_S, [one]))
    assert filled.board.agents.minutes(["a"], NOW_S, 1) == [2.0]


def test_idle_agents_leave_and_their_lanes_are_used_again() -> None:
    filled = Filled()
    filled.pulse(fleet(100, NOW_S))
    filled.now_s += IDLE_S + 1.0
    filled.pulse([agent("late", filled.now_s, [1.0])])

    assert list(filled.board.agents.known) == ["late"]
    assert filled.board.agents.usd_per_min(filled.now_s) == {"late": 1.0}


def test_how_long_a_gateway_took_is_known_only_where_it_was_watched() -> None:
    obedience = Obedience()

    def ack(gateway: str, at_s: float, offset: int) -> None:
        obedience.report(Ack(gateway=gateway, env="test", at=at_s, state="live", offset=offset, epoch=1, seq=1))

    ack("watched", 99.0, 4)
    obedience.ordered(command(issued_at=100.0), 5)
    ack("watched", 100.2, 5)
    ack("new", 103.0, 9)
    ack("behind", 103.0, 4)

    found = {each.gateway: (each.obeys, each.after_s) for each in obedience.of("agent:a@1.1", 103.0)}
    assert found == {
        "watched": (True, pytest.approx(0.2)),
        "new": (True, None),
        "behind": (False, None),
    }
