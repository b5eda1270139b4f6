"""The storm: no burst passes a ceiling by more than the bound, on one gateway or on three."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.gateway.ceilings import Ceiling, Ceilings, Over, Ticket, Use, shares

DOLLAR = Ceiling("agent:a", "micro_usd", "minute", 1_000_000)


def storm(seed: int, honest: bool) -> tuple[int, int]:
    """Return what 300 concurrent callers spent on 3 gateways, and the bound."""
    rng = Random(seed)
    split = shares([rng.random() for _ in range(3)])
    gateways = [Ceilings([DOLLAR], share) for share in split]
    spent = low = 0
    under_way: list[tuple[Ceilings, Ticket, Use]] = []
    for _ in range(300 * 4):
        if under_way and (rng.random() < 0.3 or len(under_way) >= 300):
            gateway, ticket, actual = under_way.pop(rng.randrange(len(under_way)))
            gateway.settle(ticket, actual)
            spent += actual.micro_usd
            low += max(0, actual.micro_usd - ticket.estimate.micro_usd)
            continue
        gateway = rng.choice(gateways)
        estimate = Use(micro_usd=rng.randrange(1, 20_000))
        got = gateway.reserve(["agent:a"], estimate, 10.0)
        if isinstance(got, Ticket):
            factor = rng.random() if honest else rng.lognormvariate(0, 0.7)
            under_way.append((gateway, got, Use(micro_usd=int(estimate.micro_usd * factor))))
    for gateway, ticket, actual in under_way:
        gateway.settle(ticket, actual)
        spent += actual.micro_usd
        low += max(0, actual.micro_usd - ticket.estimate.micro_usd)
    return spent, DOLLAR.limit + low


@pytest.mark.parametrize("honest", [True, False])
def test_a_storm_on_three_gateways_never_breaks_the_bound(honest: bool) -> None:
    results = [storm(seed, honest) for seed in range(100)]
    assert all(spent <= bound for spent, bound in results)
    worst = max(spent for spent, _ in results) - DOLLAR.limit
    print(f"worst overspend of 100 storms: ${worst / 1e6:.4f}")
    if honest:
        assert worst <= 0


def test_a_call_is_taken_from_every_ceiling_or_from_none() -> None:
    team = Ceiling("team:t", "tokens", "hour", 100)
    accounts = Ceilings([DOLLAR, team])
    refused = accounts.reserve(["agent:a", "team:t"], Use(micro_usd=10, tokens=101), 0.0)
    assert isinstance(refused, Over)
    assert (refused.ceiling, refused.left) == (team, 100)
    assert accounts.used(DOLLAR, 0.0) == 0


def test_a_ticket_is_settled_once_and_in_its_own_period() -> None:
    accounts = Ceilings([DOLLAR])
    ticket = accounts.reserve(["agent:a"], Use(micro_usd=600_000), 59.0)
    assert isinstance(ticket, Ticket)
    assert isinstance(accounts.reserve(["agent:a"], Use(micro_usd=600_000), 59.5), Over)
    assert isinstance(accounts.reserve(["agent:a"], Use(micro_usd=600_000), 60.0), Ticket)
    for _ in range(2):
        accounts.settle(ticket, Use(micro_usd=100_000))
    assert accounts.used(DOLLAR, 59.0) == 100_000
    assert accounts.used(DOLLAR, 60.0) == 600_000
    accounts.forget(60.0)
    assert accounts.used(DOLLAR, 59.0) == 0


def test_steps_of_a_run_end() -> None:
    accounts = Ceilings([Ceiling("run:r", "steps", "run", 3)])
    taken = [accounts.reserve(["run:r"], Use(), now_s) for now_s in (0.0, 1e5, 1e6, 1e7)]
    assert [isinstance(each, Ticket) for each in taken] == [True, True, True, False]
    accounts.end_run("run:r")
    assert isinstance(accounts.reserve(["run:r"], Use(), 1e7), Ticket)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_shares_never_sum_up_to_more_than_all(reported: list[float]) -> None:
    assert sum(shares(reported)) <= 1 + 1e-9
    assert min(shares(reported)) >= 0
