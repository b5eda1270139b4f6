"""What all agents do together is no one's fault."""

from math import log

from calls import DEAR, HOUR_S, START_S, call

from detectors.judge import Judge, JudgeParameters, JudgeState

AGENTS = 40
SURGE_ONLY = JudgeParameters(loop=None, tempo=None, stall=None, errors=None, drift=None)


def fleet(state: JudgeState, start_s: float, hours: float, per_hour: dict[str, int]) -> None:
    """Let every agent call at its even rate."""
    judge = Judge(SURGE_ONLY)
    due = [
        (start_s + HOUR_S * (n + 0.5) / rate, agent)
        for agent, rate in per_hour.items()
        for n in range(int(rate * hours))
    ]
    for now_s, agent in sorted(due):
        judge.step(state, call(now_s, agent=agent, input_micro_usd_per_mtok=DEAR))


def settled() -> JudgeState:
    state = JudgeState()
    fleet(state, START_S, 12, {f"a{n}": 60 for n in range(AGENTS)})
    return state


def test_when_the_whole_fleet_doubles_the_common_rise_is_a_doubling() -> None:
    state = settled()
    assert state.shard.common_log < 0.05

    fleet(state, START_S + 12 * HOUR_S, 0.75, {f"a{n}": 120 for n in range(AGENTS)})

    assert abs(state.shard.common_log - log(2.0)) < 0.2


def test_one_agent_that_does_a_hundred_times_as_much_is_no_common_rise() -> None:
    state = settled()

    fleet(state, START_S + 12 * HOUR_S, 0.75, {f"a{n}": 60 if n else 6000 for n in range(AGENTS)})

    assert state.shard.common_log < 0.05


def test_a_few_agents_have_nothing_in_common() -> None:
    state = JudgeState()
    fleet(state, START_S, 12, {f"a{n}": 60 for n in range(5)})
    fleet(state, START_S + 12 * HOUR_S, 0.75, {f"a{n}": 600 for n in range(5)})

    assert state.shard.common_log == 0.0


def test_the_common_rise_survives_a_restart() -> None:
    state = settled()
    fleet(state, START_S + 12 * HOUR_S, 0.75, {f"a{n}": 120 for n in range(AGENTS)})
    restored = JudgeState()
    restored.restore((table, key, row) for (table, key), row in state.drain().items() if row is not None)

    assert restored.shard == state.shard
