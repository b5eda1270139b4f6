"""Limits: what is reserved and settled, whose account it is, and that no call passes one."""

import pytest
from limiting import limited_guard
from signing import APPROVER, command, live_guard

from alerts.gateway.accounts import Caller, Over, Ticket, Use
from alerts.gateway.budget import Load
from alerts.gateway.ceilings import Ceilings
from alerts.gateway.identity import Denial, Identity
from alerts.gateway.limits import Limit
from alerts.gateway.wire import State

DOLLAR = Limit("agent:*", "micro_usd", "minute", 1_000_000)
A = Caller("agent:a", "team:t")
WHO = Identity(agent="a", team="t")


def test_a_call_is_taken_from_every_account_or_from_none() -> None:
    team = Limit("team:t", "tokens", "hour", 100)
    accounts = Ceilings([DOLLAR, team])
    refused = accounts.reserve(A, Use(micro_usd=10, tokens=101), 0.0)
    assert isinstance(refused, Over)
    assert (refused.limit, refused.scope, refused.allowed) == (team, "team:t", 100)
    assert accounts.used("agent:a", DOLLAR.name, 0.0) == 0


def test_a_ticket_is_settled_once_and_in_its_own_period() -> None:
    accounts = Ceilings([DOLLAR])
    ticket = accounts.reserve(A, Use(micro_usd=600_000), 59.0)
    assert isinstance(ticket, Ticket)
    assert isinstance(accounts.reserve(A, Use(micro_usd=600_000), 59.5), Over)
    for _ in range(2):
        accounts.settle(ticket, Use(micro_usd=100_000))
    assert accounts.used("agent:a", DOLLAR.name, 59.0) == 100_000
    late = accounts.reserve(A, Use(micro_usd=600_000), 59.9)
    assert isinstance(late, Ticket)
    assert isinstance(accounts.reserve(A, Use(micro_usd=600_000), 60.0), Ticket)
    accounts.settle(late, Use(micro_usd=900_000))
    assert accounts.used("agent:a", DOLLAR.name, 60.0) == 600_000


def test_each_agent_that_a_glob_names_has_its_own_account() -> None:
    accounts = Ceilings([DOLLAR])
    for name in ("agent:a", "agent:b"):
        assert isinstance(accounts.reserve(Caller(name), Use(micro_usd=900_000), 0.0), Ticket)
    assert isinstance(accounts.reserve(Caller("agent:a"), Use(micro_usd=900_000), 0.0), Over)


@pytest.mark.parametrize("glob", ["run:*", "agent:a", "team:t", "*"])
def test_a_runs_limit_counts_its_sub_runs_and_ends_with_no_period(glob: str) -> None:
    accounts = Ceilings([Limit(glob, "steps", "run", 3)])
    line = [("run:r",), ("run:child", "run:r"), ("run:other", "run:r"), ("run:child", "run:r")]
    taken = [accounts.reserve(Caller("agent:a", "team:t", runs), Use(), n * 1e4) for n, runs in enumerate(line)]
    assert [isinstance(each, Ticket) for each in taken] == [True, True, True, False]
    assert isinstance(accounts.reserve(Caller("agent:a", "team:t", ("run:fresh",)), Use(), 3e4), Ticket)


def test_depth_counts_the_runs_above() -> None:
    gate = limited_guard(Limit("run:*", "depth", "run", 1))
    assert gate.check(Identity(agent="a", run="child", parents=("root",)), 100.0).allowed
    refused = gate.check(Identity(agent="a", run="deep", parents=("child",)), 100.0)
    assert refused.denial is Denial.CEILING
    assert "2 levels below its root, the limit is 1" in refused.reason


def test_a_refusal_names_scope_limit_and_end_and_the_next_period_is_free() -> None:
    gate = limited_guard(DOLLAR)
    assert gate.check(WHO, 100.0, Load(400_000, 400_000)).allowed
    refused = gate.check(WHO, 100.0, Load(400_000, 400_000))
    assert (refused.denial, refused.scope, refused.until_s, refused.retry_after_s) == (
        Denial.CEILING, "agent:a", 120.0, 20.0
    )  # fmt: skip
    assert refused.reason == "agent:a has $1 a minute; $0.8 used or reserved, this call may take $0.8"
    assert gate.check(WHO, 120.0, Load(400_000, 400_000)).allowed


def test_a_claim_spends_nobody_elses_limit() -> None:
    gate = limited_guard(DOLLAR)
    gate.check(Identity(agent="thief", claimed_agent="a"), 100.0, Load(500_000, 500_000))
    assert gate.check(WHO, 100.0, Load(500_000, 500_000)).allowed


def test_a_gateway_without_a_share_lets_nothing_through_that_is_limited() -> None:
    gate = limited_guard(DOLLAR, share=None)
    refused = gate.check(WHO, 100.0)
    assert (refused.denial, "no share" in refused.reason) == (Denial.CEILING, True)
    assert gate.check(Identity(team="t"), 100.0).allowed


def test_what_is_used_outlives_a_restart_and_a_change_of_the_amount() -> None:
    before = limited_guard(DOLLAR)
    before.check(WHO, 100.0, Load(300_000, 300_000))
    after = live_guard()
    after.budget.gateway = "gw"
    after.restore(before.snapshot(), 100.0)
    after.restore_used(before.budget.used(100.0))
    assert not after.check(WHO, 101.0, Load(300_000, 300_000)).allowed

    accounts = before.budget.ceilings
    accounts.change([Limit("agent:*", "micro_usd", "minute", 2_000_000)])
    assert accounts.used("agent:a", DOLLAR.name, 101.0) == 600_000


def test_accounts_are_bounded_and_those_that_are_over_go_first() -> None:
    accounts = Ceilings([DOLLAR], accounts_max=200)
    for number in range(10_000):
        accounts.reserve(Caller(f"agent:{number}"), Use(micro_usd=1), float(number))
    assert len(accounts) <= 200
    assert accounts.forgotten == 0


def test_what_is_over_is_dropped_as_calls_settle_not_as_they_are_checked() -> None:
    accounts = Ceilings([DOLLAR])
    tickets = [accounts.reserve(Caller(f"agent:{number}"), Use(micro_usd=1), 0.0) for number in range(100)]
    later = [accounts.reserve(Caller(f"agent:{number}"), Use(micro_usd=1), 60.0) for number in range(100, 200)]
    assert len(accounts) == 200
    for ticket in (*later, *tickets):
        assert isinstance(ticket, Ticket)
        accounts.settle(ticket, Use())
    assert (len(accounts), accounts.forgotten) == (100, 0)


def test_a_run_that_is_refused_is_known_when_a_person_releases_it() -> None:
    accounts = Ceilings([Limit("run:*", "tokens", "run", 1_000), Limit("run:*", "depth", "run", 0)])
    deep = Caller("agent:a", "", ("run:deep", "run:root"))
    assert isinstance(accounts.reserve(deep, Use(), 0.0), Over)
    for number in range(10):
        ticket = accounts.reserve(Caller("agent:a", "", (f"run:{number}",)), Use(), 1.0)
        assert isinstance(ticket, Ticket)
        accounts.settle(ticket, Use())
    accounts.release("run:deep", 2.0)
    assert isinstance(accounts.reserve(deep, Use(), 3.0), Ticket)


def test_a_release_of_any_of_a_whole_fleet_that_calls_in_a_run_begins_it_anew() -> None:
    accounts = Ceilings([Limit("run:*", "tokens", "run", 1_000)])
    fleet = [Caller(f"agent:{number}", "", ("run:r",)) for number in range(100)]
    assert all(isinstance(accounts.reserve(each, Use(tokens=10), 0.0), Ticket) for each in fleet)
    assert isinstance(accounts.reserve(fleet[0], Use(tokens=10), 1.0), Over)
    accounts.release("agent:99", 2.0)
    assert isinstance(accounts.reserve(fleet[0], Use(tokens=10), 2.0), Ticket)


def test_room_is_never_made_of_what_the_call_itself_is_counted_on() -> None:
    accounts = Ceilings([Limit("agent:*", "tokens", "minute", 1_000), Limit("run:*", "tokens", "run", 1_000)])
    accounts.reserve(Caller("agent:a"), Use(tokens=1), 0.0)
    for number in range(5):
        runs = tuple(f"run:{number}-{depth}" for depth in range(5))
        assert isinstance(accounts.reserve(Caller("agent:a", "", runs), Use(tokens=100), 60.0), Ticket)
    assert accounts.used("agent:a", "tokens/minute/agent:*", 60.0) == 500


def test_who_is_refused_makes_no_room_for_itself_by_making_up_runs() -> None:
    accounts = Ceilings([DOLLAR, Limit("run:*", "tokens", "run", 1_000)], accounts_max=300)
    assert isinstance(accounts.reserve(A, Use(micro_usd=1_000_000), 0.0), Ticket)
    for number in range(2_000):
        made_up = Caller("agent:a", "team:t", (f"run:{number}",))
        assert isinstance(accounts.reserve(made_up, Use(micro_usd=1, tokens=1), 1.0), Over)
    assert len(accounts) <= 300
    assert accounts.used("agent:a", DOLLAR.name, 1.0) == 1_000_000


def test_owners_that_are_only_claimed_make_no_room_for_one_that_is_known() -> None:
    accounts = Ceilings([DOLLAR], accounts_max=300)
    accounts.reserve(Caller("agent:b", is_claimed=True), Use(micro_usd=1_000_000), 0.0)
    for known in (A, Caller("agent:b")):
        accounts.reserve(known, Use(micro_usd=1_000_000), 0.0)
    for number in range(2_000):
        accounts.reserve(Caller(f"agent:made-up-{number}", is_claimed=True), Use(micro_usd=1), 1.0)
    assert len(accounts) <= 300
    assert [accounts.used(scope, DOLLAR.name, 1.0) for scope in ("agent:a", "agent:b")] == [1_000_000] * 2


def test_where_there_is_no_room_for_owners_the_oldest_are_forgotten() -> None:
    accounts = Ceilings([DOLLAR], accounts_max=300)
    for number in range(1_000):
        assert isinstance(accounts.reserve(Caller(f"agent:{number}"), Use(micro_usd=1), 0.0), Ticket)
    assert len(accounts) <= 300
    assert accounts.forgotten == 1_000 - len(accounts)


def test_a_run_knows_a_thousand_callers_by_name_and_holds_all_to_their_limits() -> None:
    accounts = Ceilings([Limit("agent:*", "tokens", "run", 5_000), Limit("agent:last", "tokens", "run", 100)])
    for number in range(2_000):
        assert isinstance(accounts.reserve(Caller(f"agent:{number}", "", ("run:r",)), Use(tokens=1), 0.0), Ticket)
    assert len(accounts.above([("run:r", "", 0.0, 0)])["run:r"]) < 1_100
    last = Caller("agent:last", "", ("run:r",))
    assert [isinstance(accounts.reserve(last, Use(tokens=80), 0.0), Ticket) for _ in range(2)] == [True, False]


def test_a_change_of_limits_loses_no_call_under_way() -> None:
    accounts = Ceilings([DOLLAR])
    ticket = accounts.reserve(A, Use(micro_usd=900_000), 0.0)
    accounts.change([Limit("agent:*", "micro_usd", "minute", 2_000_000), Limit("team:*", "tokens", "day", 5)])
    assert isinstance(ticket, Ticket)
    accounts.settle(ticket, Use(micro_usd=100_000))
    assert accounts.used("agent:a", DOLLAR.name, 0.0) == 100_000


def test_a_call_under_way_settles_only_the_limits_that_it_was_held_against() -> None:
    hour, day = Limit("agent:*", "tokens", "hour", 100), Limit("agent:*", "tokens", "day", 1_000)
    accounts = Ceilings([hour])
    before = accounts.reserve(A, Use(tokens=50), 0.0)
    accounts.change([day, hour])
    after = accounts.reserve(A, Use(tokens=40), 1.0)
    for ticket in (before, after):
        assert isinstance(ticket, Ticket)
        accounts.settle(ticket, Use(tokens=10))
    assert [accounts.used("agent:a", each.name, 2.0) for each in (hour, day)] == [20, 10]

    accounts.change([day])
    accounts.change([hour, day])
    assert [accounts.used("agent:a", each.name, 2.0) for each in (hour, day)] == [0, 10]


def test_a_clock_that_is_set_back_gives_nothing_back() -> None:
    accounts = Ceilings([DOLLAR])
    assert isinstance(accounts.reserve(A, Use(micro_usd=900_000), 120.0), Ticket)
    for now_s in (59.0, 119.0, 121.0):
        assert isinstance(accounts.reserve(A, Use(micro_usd=200_000), now_s), Over)
    assert isinstance(accounts.reserve(Caller("agent:b"), Use(micro_usd=900_000), 59.0), Ticket)
    assert isinstance(accounts.reserve(Caller("agent:b"), Use(micro_usd=900_000), 60.0), Ticket)


def test_a_clock_that_was_a_day_ahead_makes_no_days_limit_of_a_minutes() -> None:
    accounts, day_s = Ceilings([DOLLAR]), 86_400.0
    taken = [accounts.reserve(A, Use(micro_usd=900_000), at) for at in (60.0, day_s, 61.0, 119.0, 120.0, 121.0)]
    # What was used while it was ahead counts until the first period that ends after it was set back.
    assert [isinstance(each, Ticket) for each in taken] == [True, True, False, False, True, False]


def test_a_released_run_may_be_as_deep_as_it_is() -> None:
    gate, deep = limited_guard(Limit("agent:*", "depth", "run", 1)), Identity(agent="a", run="c", parents=("b", "r"))
    assert gate.check(deep, 100.0).denial is Denial.CEILING
    gate.apply("run:c", APPROVER.sign(command("run:c", State.RELEASED)), 100.0)
    assert gate.check(deep, 100.0).allowed
    assert gate.check(Identity(agent="a", run="d", parents=("b", "r")), 100.0).denial is Denial.CEILING

    after = live_guard()
    after.restore(gate.snapshot(), 101.0)
    after.restore_used(gate.budget.used(101.0))
    assert "levels" not in after.check(deep, 101.0).reason


@pytest.mark.parametrize("released", ["run:r", "run:root", "agent:a", "team:t", "global:all"])
@pytest.mark.parametrize("limit", [Limit("run:*", "tokens", "run", 1_000), Limit("agent:*", "tokens", "run", 1_000)])
def test_a_release_begins_the_limits_of_its_scope_and_of_all_below_it_anew(limit: Limit, released: str) -> None:
    gate, load = limited_guard(limit), Load(800, 0)
    who = Identity(agent="a", team="t", run="r", parents=("root",))
    assert [gate.check(who, 100.0, load).allowed for _ in range(2)] == [True, False]
    gate.apply(released, APPROVER.sign(command(released, State.KILLED)), 101.0)
    assert gate.check(who, 101.0, load).denial is Denial.KILLED
    gate.apply(released, APPROVER.sign(command(released, State.RELEASED, seq=2)), 102.0)
    # The run above has its own account: letting the lower one go leaves that as it was.
    assert gate.check(who, 102.0, load).allowed is (released != "run:r")


def test_a_release_leaves_others_as_they_were_and_calls_under_way_settle_with_what_was_before() -> None:
    gate = limited_guard(DOLLAR)
    under_way = gate.check(WHO, 100.0, Load(900_000, 0)).ticket
    gate.check(Identity(agent="b"), 100.0, Load(900_000, 0))
    gate.apply("agent:a", APPROVER.sign(command("agent:a", State.RELEASED)), 101.0)
    assert under_way is not None
    gate.budget.settle(under_way, Use(micro_usd=0))
    assert [gate.check(WHO, 102.0, Load(600_000, 0)).allowed for _ in range(2)] == [True, False]
    assert not gate.check(Identity(agent="b"), 102.0, Load(600_000, 0)).allowed


def test_a_release_of_each_scope_counts_whatever_numbers_others_have_come_to() -> None:
    gate = limited_guard(DOLLAR)
    for agent, seq in (("b", 9), ("a", 2)):
        assert gate.check(Identity(agent=agent), 100.0, Load(900_000, 0)).allowed
        gate.apply(f"agent:{agent}", APPROVER.sign(command(f"agent:{agent}", State.RELEASED, seq=seq)), 101.0)
        assert gate.check(Identity(agent=agent), 102.0, Load(900_000, 0)).allowed


@pytest.mark.parametrize("saved", ["before the release", "after it"])
def test_a_release_counts_once_though_the_topic_is_read_again_after_a_restart(saved: str) -> None:
    before, release = limited_guard(DOLLAR), APPROVER.sign(command("agent:a", State.RELEASED, seq=7))
    before.check(WHO, 100.0, Load(900_000, 0))
    snapshot, used = before.snapshot(), before.budget.used(100.0)
    before.apply("agent:a", release, 101.0)
    before.check(WHO, 101.0, Load(800_000, 0))
    if saved == "after it":
        used = before.budget.used(101.0)

    after = live_guard()
    after.budget.gateway = "gw"
    after.restore(snapshot, 102.0)
    after.restore_used(used)
    after.apply("agent:a", release, 102.0)
    assert after.check(WHO, 102.0, Load(800_000, 0)).allowed is (saved == "before the release")

    with_it = live_guard()
    with_it.budget.gateway = "gw"
    with_it.restore(before.snapshot(), 102.0)
    with_it.restore_used(used)
    assert with_it.check(WHO, 102.0, Load(800_000, 0)).allowed is (saved == "before the release")
