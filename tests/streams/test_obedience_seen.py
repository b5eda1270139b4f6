"""What a shard sees of calls that should have been refused."""

from typing import Any

from feeding import T0_S, batch, engine, event

from alerts.decision import Action
from alerts.obedience import Disobedience
from streams.engine import Engine


class Shard:
    """An engine that knows one call of agent-1, then that its scope was stopped."""

    def __init__(self, scope: str = "agent:agent-1", action: Action = Action.KILL) -> None:
        self.engine: Engine = engine()
        self.number = 0
        self.feed(0.0)
        self.engine.sentence.control(scope, action, T0_S, None)

    def feed(self, after_s: float, **fields: Any) -> list[Disobedience]:
        made = event(self.number, T0_S + after_s, **fields)
        self.number += 1
        return self.engine.feed(batch([made], first=self.number)).disobeyed


def test_a_call_that_began_after_the_kill_is_reported_at_once_with_its_gateway() -> None:
    (found,) = Shard().feed(30.0, gateway="gw-2")

    assert (found.scope, found.calls, found.new_calls, found.gateways) == ("agent:agent-1", 1, 1, ("gw-2",))
    assert found.last_began_s == T0_S + 29.1
    assert (found.agent, found.team, found.model) == ("agent-1", "team-1", "gpt-4o")
    assert found.spend_usd > 0


def test_a_hold_and_a_teams_kill_count_alike() -> None:
    assert [found.scope for found in Shard(action=Action.HOLD).feed(30.0)] == ["agent:agent-1"]
    assert [found.scope for found in Shard("team:team-1").feed(30.0)] == ["team:team-1"]


def test_calls_in_flight_at_the_kill_may_end_whenever_they_do() -> None:
    shard = Shard()
    assert shard.feed(9.0) == []
    assert shard.feed(60.0, latency_ms=55_000) == []


def test_a_refusal_that_a_gateway_reports_is_no_call() -> None:
    assert Shard().feed(30.0, status="error_403", input_tokens=0, output_tokens=0) == []


def test_it_is_said_again_every_ten_seconds_with_what_came_meanwhile() -> None:
    shard = Shard()
    said = [found for second in range(30, 60) for found in shard.feed(float(second))]
    assert [(found.calls, found.new_calls) for found in said] == [(1, 1), (11, 10), (21, 10)]


def test_what_is_released_or_only_throttled_or_somebody_elses_may_call() -> None:
    released = Shard()
    released.engine.sentence.control("agent:agent-1", Action.RELEASE, T0_S + 1, None)
    assert released.feed(30.0) == []
    assert Shard(action=Action.THROTTLE).feed(30.0) == []
    assert Shard("agent:agent-2").feed(30.0) == []


def test_what_was_only_said_in_shadow_mode_stopped_nobody() -> None:
    shard = Shard()
    shard.engine.rows.standings["agent:agent-1"].shadow = True
    assert shard.feed(30.0) == []


def test_a_persons_kill_is_real_whatever_was_said_in_shadow_mode() -> None:
    shard = Shard("agent:other")
    shard.engine.rows.standing("agent:agent-1").shadow = True
    shard.engine.sentence.control("agent:agent-1", Action.KILL, T0_S, None)
    assert len(shard.feed(30.0)) == 1
