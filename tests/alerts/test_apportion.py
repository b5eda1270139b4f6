"""Shares move to where a limit is used, and never sum up to more than all, whatever the network does."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.apportion import GONE_S, Apportioner, split
from alerts.gateway.limits import Shares
from alerts.gateway.wire import Ack

MINUTE, RUN = "micro_usd/minute/agent:*", "micro_usd/run/run:*"


class Gateway:
    """Goes by the last shares it has read, as a guard does, and reports what it holds at most."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shares: Shares | None = None
        self.used: dict[tuple[str, str], float] = {}

    def read(self, shares: Shares) -> None:
        if self.shares is None or shares.order > self.shares.order:
            self.shares = shares

    def may(self, scope: str, limit: str) -> float:
        return self.shares.of(scope, limit) if self.shares else 0.0

    def spend(self, scope: str, limit: str, part: float) -> None:
        used = self.used.get((scope, limit), 0.0)
        if used + part <= self.may(scope, limit):
            self.used[scope, limit] = used + part

    def ack(self, now_s: float, state: str = "live") -> Ack:
        use: dict[str, dict[str, float]] = {}
        for (scope, limit), used in self.used.items():
            if state == "stopped" or used >= 0.5 * self.may(scope, limit):
                use.setdefault(scope, {})[limit] = used
        order = self.shares.order if self.shares else (0, 0)
        return Ack(gateway=self.name, env="e", at=now_s, state=state, offset=0, epoch=0, seq=0, shares=order, use=use)


def settled(service: Apportioner, gateways: list[Gateway], now_s: float = 10.0, rounds: int = 6) -> None:
    for _ in range(rounds):
        for gateway in gateways:
            service.hear(gateway.ack(now_s), now_s)
        for shares in service.due(now_s):
            for each in gateways:
                if each.name == shares.gateway:
                    each.read(shares)


def test_one_gateway_has_all_and_those_that_join_an_equal_part() -> None:
    service, gateways = Apportioner("e", 1, 0.0), [Gateway("a")]
    settled(service, gateways)
    assert gateways[0].may("agent:x", MINUTE) == 1.0

    gateways += [Gateway("b"), Gateway("c")]
    settled(service, gateways)
    assert [round(each.may("agent:x", MINUTE), 2) for each in gateways] == [0.33, 0.33, 0.33]


def test_one_that_joins_has_nothing_until_the_others_have_confirmed_less() -> None:
    service, a, b = Apportioner("e", 1, 0.0), Gateway("a"), Gateway("b")
    settled(service, [a])
    service.hear(b.ack(10.0), 10.0)
    lowered = service.due(10.0)
    assert [(each.gateway, each.usual) for each in lowered] == [("a", 0.5)]
    a.read(lowered[0])
    service.hear(a.ack(10.0), 10.0)
    assert [(each.gateway, each.usual) for each in service.due(10.0)] == [("b", 0.5)]


def test_shares_follow_use_and_go_back_when_it_is_over() -> None:
    service, gateways = Apportioner("e", 1, 0.0), [Gateway("a"), Gateway("b"), Gateway("c")]
    settled(service, gateways)
    gateways[0].spend("agent:x", MINUTE, 0.3)
    settled(service, gateways)
    assert gateways[0].may("agent:x", MINUTE) > 0.85
    assert gateways[1].may("agent:x", MINUTE) > 0.05
    assert gateways[0].may("agent:y", MINUTE) < 0.34

    gateways[0].used.clear()
    service.tick(1.0, 1_000.0)
    settled(service, gateways, 1_000.0)
    service.tick(1.0, 1_001.0)
    settled(service, gateways, 1_001.0)
    assert [round(each.may("agent:x", MINUTE), 2) for each in gateways] == [0.33, 0.33, 0.33]


def test_a_stopped_gateways_part_is_free_at_once_and_a_silent_ones_later() -> None:
    service, gateways = Apportioner("e", 1, 0.0), [Gateway("a"), Gateway("b"), Gateway("c")]
    settled(service, gateways)
    service.hear(gateways.pop().ack(10.0, "stopped"), 10.0)
    settled(service, gateways)
    assert gateways[0].may("agent:x", MINUTE) == 0.5
    assert service.gone() == ["c"]

    for second in range(int(GONE_S) + 2):
        service.hear(gateways[0].ack(10.0 + second), 10.0 + second)
        service.tick(1.0, 10.0 + second)
    settled(service, gateways[:1], 400.0)
    assert gateways[0].may("agent:x", MINUTE) == 1.0


def test_while_nobody_is_heard_nobody_is_gone() -> None:
    service, gateways = Apportioner("e", 1, 0.0), [Gateway("a"), Gateway("b")]
    settled(service, gateways)
    for second in range(1_000):
        service.tick(1.0, 10.0 + second)
    service.hear(gateways[0].ack(1_010.0), 1_010.0)
    assert service.due(1_010.0) == []


def test_after_a_restart_nothing_is_raised_until_what_is_held_is_known() -> None:
    service, a, b = Apportioner("e", 1, 0.0), Gateway("a"), Gateway("b")
    settled(service, [a, b])
    given = [each for each in (a.shares, b.shares) if each]
    again = Apportioner("e", 2, 10.0, given)
    again.hear(a.ack(10.0), 10.0)
    again.hear(Gateway("c").ack(10.0), 10.0)
    assert [(each.gateway, round(each.usual, 2)) for each in again.due(10.0)] == [("a", 0.33), ("b", 0.33)]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_comes_late_or_twice_or_never_the_gateways_hold_at_most_all(seed: int) -> None:  # noqa: PLR0912
    rng = Random(seed)
    service, epoch, now_s = Apportioner("e", 1, 0.0), 1, 0.0
    names = iter(f"g{number}" for number in range(100))
    gateways = [Gateway(next(names))]
    wires: dict[str, list[Ack]] = {}
    topic: dict[str, Shares] = {}
    unread: dict[str, list[Shares]] = {}
    accounts = [(f"agent:{number}", MINUTE) for number in range(3)] + [("run:r", RUN)]
    lost: dict[tuple[str, str], float] = {}
    for _ in range(400):
        now_s += 0.01
        gateway = rng.choice(gateways)
        match rng.randrange(8):
            case 0 if len(gateways) < 5 and rng.random() < 0.2:
                gateways.append(Gateway(next(names)))
            case 1 if len(gateways) > 1 and rng.random() < 0.1:
                gateways.remove(gateway)
                for account, used in gateway.used.items():
                    lost[account] = lost.get(account, 0.0) + used
                wires.setdefault(gateway.name, []).append(gateway.ack(now_s, "stopped"))
            case 2 if rng.random() < 0.1:
                epoch += 1
                service = Apportioner("e", epoch, now_s, topic.values())
            case 3 | 4:
                wires.setdefault(gateway.name, []).append(gateway.ack(now_s))
            case 5:
                for name in list(wires):
                    for ack in wires.pop(name) if rng.random() < 0.7 else ():
                        service.hear(ack, now_s)
                service.tick(0.1, now_s)
                for shares in service.due(now_s):
                    topic[shares.gateway] = shares
                    unread.setdefault(shares.gateway, []).append(shares)
            case 6:
                for shares in unread.pop(gateway.name, [])[-rng.randrange(1, 3) :]:
                    gateway.read(shares)
            case _:
                gateway.spend(*rng.choice(accounts), rng.random() / 10)
        for account in accounts:
            held = [max(each.may(*account), each.used.get(account, 0.0)) for each in gateways]
            assert sum(held) + lost.get(account, 0.0) <= 1 + 1e-9, (account, held)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_parts_never_sum_up_to_more_than_all(used: list[float]) -> None:
    assert sum(split(used)) <= 1 + 1e-9
    assert min(split(used)) >= 0
