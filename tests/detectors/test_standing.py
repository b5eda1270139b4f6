"""What is killed is silent; what is released speaks again; what was planned is usual from then on."""

from calls import DAY_S, HOUR_S, START_S, call, honest, kills, sittings

from detectors.contract import Call
from detectors.judge import Judge, JudgeState

ONSET_S = START_S + 3 * DAY_S


def stuck(at_s: float, calls: int = 60, run: str = "") -> list[Call]:
    return [call(at_s + 3 * n, run=run, step=n, input_tokens=9000, output_tokens=150) for n in range(calls)]


def primed() -> tuple[Judge, JudgeState]:
    judge, state = Judge(), JudgeState()
    sittings(judge, state, honest(START_S, 72))
    return judge, state


def test_a_killed_agent_raises_nothing_until_its_time_is_up() -> None:
    judge, state = primed()
    judge.killed(state, "agent:a", ONSET_S, ONSET_S + HOUR_S)

    assert sittings(judge, state, stuck(ONSET_S + 10)) == []
    assert kills(sittings(judge, state, stuck(ONSET_S + HOUR_S + 10))) != []


def test_a_release_lets_a_relapse_be_seen() -> None:
    judge, state = primed()
    judge.killed(state, "agent:a", ONSET_S, None)
    judge.released(state, "agent:a", ONSET_S + 60, planned=False)

    assert kills(sittings(judge, state, stuck(ONSET_S + 70))) != []


def test_a_killed_run_covers_its_children_and_spares_its_agent() -> None:
    judge, state = primed()
    judge.step(state, call(ONSET_S, run="child", parent_run="root"))
    judge.killed(state, "run:root", ONSET_S + 1, None)
    grandchildren = [call(ONSET_S + 2 + n, run="g", parent_run="child", input_tokens=9000) for n in range(60)]

    assert sittings(judge, state, grandchildren) == []
    assert kills(sittings(judge, state, stuck(ONSET_S + 300, run="other"))) != []


def test_what_was_planned_takes_more_to_be_killed_for_again() -> None:
    judge, state = primed()
    first = kills(sittings(judge, state, stuck(ONSET_S)))[0][0] - ONSET_S
    judge.released(state, "agent:a", ONSET_S + 300, planned=True)
    again = kills(sittings(judge, state, stuck(ONSET_S + 2 * HOUR_S, 200)))

    assert not again or again[0][0] - ONSET_S - 2 * HOUR_S > 1.5 * first


def test_a_planned_model_is_accepted() -> None:
    judge, state = primed()
    dear = {"model": "large", "input_micro_usd_per_mtok": 3_000_000}
    assert kills(sittings(judge, state, [call(ONSET_S + n, **dear) for n in range(3)])) != []

    judge.released(state, "agent:a", ONSET_S + 60, planned=True)
    assert kills(sittings(judge, state, [call(ONSET_S + 100 + 60 * n, **dear) for n in range(5)])) == []


def test_rows_written_and_read_back_judge_alike() -> None:
    judge, state = primed()
    judge.step(state, call(ONSET_S, run="child", parent_run="root"))
    judge.killed(state, "run:root", ONSET_S, None)
    other = JudgeState()
    other.restore([(table, key, row) for (table, key), row in state.drain().items() if row is not None])

    tail = [*stuck(ONSET_S + 5), call(ONSET_S + 6, run="g", parent_run="child")]
    assert sittings(judge, state, tail) == sittings(judge, other, tail)
    assert state.drain() == other.drain()


def test_a_batch_names_the_rows_it_changed_and_no_others() -> None:
    judge, state = primed()
    judge.step(state, call(START_S + 72 * HOUR_S, agent="b/sub1"))
    state.drain()
    judge.step(state, call(START_S + 72 * HOUR_S + 1, agent="b/sub2"))

    assert set(state.drain()) == {("agents", "b")}


def test_idle_runs_and_agents_are_forgotten_but_not_what_is_killed() -> None:
    judge, state = primed()
    judge.step(state, call(ONSET_S, agent="gone", run="child", parent_run="root"))
    judge.step(state, call(ONSET_S, agent="bad"))
    judge.killed(state, "agent:bad", ONSET_S, None)
    state.drain()
    state.evict(ONSET_S + 40 * DAY_S)

    assert set(state.agents) == {"bad"}
    assert state.trees == {}
    assert state.root_of == {}
    assert state.drain()["trees", "root"] is None


def test_an_agent_is_remembered_in_under_two_kilobytes_beside_its_runs() -> None:
    _, state = primed()
    row = state.drain()["agents", "a"]
    state.agents["a"].runs.clear()
    state.agents.touch("a", state.agents["a"])
    lean = state.drain()["agents", "a"]

    assert row is not None
    assert lean is not None
    assert len(lean) < 2048
    assert len(row) < 4096
