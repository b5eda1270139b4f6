"""Each runaway is stopped, in time and by the right scope; each look-alike is left alone."""

from random import Random
from typing import Any

import pytest
from calls import CHEAP, DAY_S, DEAR, HOUR_S, START_S, call, honest, kills, session, sittings

from detectors.contract import Call
from detectors.judge import Judge, JudgeParameters, JudgeState, Verdict

ONSET_S = START_S + 3 * DAY_S


def judged(runaway: list[Call], history: list[Call] | None = None) -> list[tuple[float, Verdict]]:
    usual = list(honest(START_S, 73)) if history is None else history
    return sittings(Judge(), JudgeState(), [*usual, *runaway])


def loop(gap_s: float, calls: int, seed: int = 5, jitter: float = 0.002, **fixed: Any) -> list[Call]:
    random, now_s, made = Random(seed), ONSET_S, []
    for n in range(calls):
        now_s += gap_s * random.lognormvariate(0, 0.12)
        size = int(9000 * (1 + random.gauss(0, jitter)))
        fields = {"input_tokens": size, "output_tokens": int(150 * random.lognormvariate(0, 0.05)), "step": n}
        made.append(call(now_s, **(fields | fixed)))
    return made


def sessions(days: int = 3) -> list[Call]:
    starts = [START_S + d * DAY_S + h * HOUR_S for d in range(days) for h in (9, 11, 14)]
    return [c for n, start_s in enumerate(starts) for c in session(start_s, 60, seed=n)]


@pytest.mark.parametrize("jitter", [0.0, 0.002, 0.01, 0.03])
def test_a_tight_loop_is_killed_within_a_minute_by_its_run(jitter: float) -> None:
    found = kills(judged(loop(3.0, 60, jitter=jitter, run="stuck")))

    assert found[0][1] == "run:stuck"
    assert found[0][0] - ONSET_S < 60


def test_a_loop_without_run_ids_is_killed_by_its_agent() -> None:
    found = kills(judged(loop(3.0, 60, run="")))

    assert found[0][1] == "agent:a"
    assert found[0][0] - ONSET_S < 60


def test_a_loop_that_grows_by_the_same_amount_each_time_is_killed_within_a_minute() -> None:
    repeats = [call(ONSET_S + 4 * n, input_tokens=200 + 40 * n, output_tokens=150, run=f"x{n}") for n in range(30)]

    assert kills(judged(repeats))[0][0] - ONSET_S < 60


def test_a_loop_is_found_as_fast_by_an_agent_whose_calls_often_resemble_one_another() -> None:
    alike = [
        call(c.now_s, input_tokens=9000 + 400 * (n % 3), output_tokens=c.output_tokens)
        for n, c in enumerate(honest(START_S, 72))
    ]

    found = kills(judged(loop(4.0, 40, run="stuck"), alike))
    assert found[0][0] - ONSET_S < 90


def test_calls_of_a_loop_that_overtake_one_another_on_their_way_count_as_well() -> None:
    repeats = loop(2.0, 60, jitter=0.0, run="stuck")
    swapped = [c for n in range(0, 60, 2) for c in (repeats[n + 1], repeats[n])]
    arriving = [
        call(c.now_s, at_s=o.at_s, input_tokens=9000, output_tokens=150, run="stuck", latency_s=1.5)
        for c, o in zip(repeats, swapped, strict=True)
    ]

    assert kills(judged(arriving))[0][0] - ONSET_S < 60


def test_a_run_that_gets_nowhere_at_a_persons_pace_is_killed_within_two_hours() -> None:
    random, now_s, made = Random(6), ONSET_S, []
    for n in range(480):
        now_s += random.lognormvariate(3.0, 0.5)
        made.append(call(now_s, run="idle", step=n, input_tokens=int(60_000 * random.lognormvariate(0, 0.02)),
                         output_tokens=int(random.lognormvariate(5.3, 0.9)) + 5))  # fmt: skip

    found = kills(judged(made, sessions()))
    assert found[0][1] == "run:idle"
    assert found[0][0] - ONSET_S < 2 * HOUR_S


def test_a_slow_loop_among_honest_calls_is_killed_within_two_hours() -> None:
    found = kills(judged(loop(60.0, 480), list(honest(START_S, 81))))

    assert found[0][2] == "loop"
    assert found[0][0] - ONSET_S < 2 * HOUR_S


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_sizes_that_take_turns_among_honest_calls_are_a_slow_loop(seed: int) -> None:
    turns = [
        call(
            c.now_s, input_tokens=c.input_tokens if n % 2 else c.input_tokens * 2 // 5, output_tokens=150 - 90 * (n % 2)
        )
        for n, c in enumerate(loop(60.0, 480, seed))
    ]

    found = kills(judged(turns, list(honest(START_S, 81, seed))))
    assert found[0][2] == "loop"
    assert found[0][0] - ONSET_S < 2 * HOUR_S


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_templates_that_honest_calls_fill_in_by_chance_are_no_loop(seed: int) -> None:
    random = Random(seed)
    sizes = [(6000, 150), (2400, 60)]
    templates = []
    for c in honest(START_S, 120, seed, per_hour=60):
        tokens, answer = random.choice(sizes)
        filled = {
            "input_tokens": int(tokens * random.lognormvariate(0, 0.05)),
            "output_tokens": int(answer * random.lognormvariate(0, 0.3)),
        }
        templates.append(call(c.now_s, **filled))

    assert not kills(sittings(Judge(), JudgeState(), templates))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_answer_that_an_agent_hardly_ever_gives_tells_more_when_it_is_given_again_and_again(seed: int) -> None:
    random = Random(seed)
    labels = [
        call(c.now_s, input_tokens=random.randint(20, 45), output_tokens=1 if random.random() < 0.97 else 4)
        for c in honest(START_S, 81, seed)
    ]
    stuck = [
        call(c.now_s, input_tokens=31, output_tokens=random.choice((9, 10, 10, 11))) for c in loop(60.0, 480, seed)
    ]

    without_echo = Judge(JudgeParameters(echo=None))

    found = kills(sittings(without_echo, JudgeState(), [*labels, *stuck]))
    assert found[0][2] == "loop"
    assert found[0][0] - ONSET_S < 0.5 * HOUR_S


def test_two_agents_of_a_tree_that_hand_work_back_and_forth_are_killed() -> None:
    random, now_s, made = Random(8), ONSET_S, []
    for n in range(120):
        now_s += 4 * random.lognormvariate(0, 0.15)
        side = {"agent": "a/sub1", "run": "child", "parent_run": "root"} if n % 2 else {"run": "root"}
        made.append(call(now_s, input_tokens=7000 + 2000 * (n % 2), output_tokens=120 + 80 * (n % 2), step=n, **side))

    assert kills(judged(made))[0][0] - ONSET_S < 120


@pytest.mark.parametrize("growth", [1500, 4000, 8000])
def test_a_snowball_is_killed_within_two_minutes(growth: int) -> None:
    random, now_s, context, made = Random(4), ONSET_S, 30_000, []
    for n in range(60):
        now_s += random.uniform(3, 10)
        context += int(growth * random.lognormvariate(0, 0.25))
        made.append(call(now_s, run="snow", step=n, input_tokens=context, output_tokens=random.randrange(80, 600)))

    found = kills(judged(made))
    assert found[0][1] == "run:snow"
    assert found[0][0] - ONSET_S < 180


@pytest.mark.parametrize(("pause_s", "stopped"), [(0.0, True), (600.0, False)])
def test_a_context_that_grows_while_a_person_comes_and_goes_is_no_snowball(pause_s: float, stopped: bool) -> None:
    random, now_s, context, made = Random(4), ONSET_S, 30_000, []
    for n in range(60):
        now_s += random.uniform(3, 10) + (pause_s if n % 4 == 0 else 0.0)
        context += int(4000 * random.lognormvariate(0, 0.25))
        made.append(call(now_s, run="work", step=n, input_tokens=context, output_tokens=random.randrange(80, 600)))

    assert bool(kills(judged(made, sessions()))) is stopped


def test_a_fan_out_is_killed_as_a_tree_though_its_agents_are_new() -> None:
    random, live, made = Random(2), [("root", "", "a")], []
    for generation in range(5):
        start_s = ONSET_S + 60 * generation
        for run, parent, agent in live:
            for k in range(6):
                at_s = start_s + 10 * k + random.uniform(0, 5)
                size = random.randrange(5000, 30_000)
                made.append(call(at_s, run=run, parent_run=parent, agent=agent, input_tokens=size))
        live += [(f"{run}.{generation}", run, f"a/sub{generation}{n}") for n, (run, _, _) in enumerate(live)]

    found = kills(judged(made))
    assert found[0][1] == "run:root"
    assert found[0][0] - ONSET_S < 150


def test_a_retry_storm_is_killed_within_ten_failures() -> None:
    storm = [call(ONSET_S + 0.8 * n, run="x", failed=True, output_tokens=0) for n in range(60)]

    found = kills(judged(storm))
    assert found[0][2] == "errors"
    assert found[0][0] - ONSET_S < 8


def test_a_client_that_backs_off_is_left_alone() -> None:
    waits = [0, 1, 3, 7, 15, 31, 63, 127]
    storm = [call(ONSET_S + s, run="x", failed=True, output_tokens=0) for s in waits]

    assert kills(judged(storm)) == []


def test_a_far_dearer_model_is_killed_at_its_second_call() -> None:
    dear = [call(ONSET_S + 60 * n, model="large", input_micro_usd_per_mtok=DEAR) for n in range(5)]

    found = kills(judged(dear))
    assert found[0] == (ONSET_S + 60, "agent:a", "price")


def test_a_migration_to_a_model_of_like_price_is_left_alone() -> None:
    usual = list(honest(START_S, 72))
    moved = list(honest(ONSET_S, 24, seed=2, model="other", input_micro_usd_per_mtok=2 * CHEAP))

    assert kills(judged(moved, usual)) == []


def test_an_agent_that_changes_models_from_run_to_run_may_take_a_dear_one() -> None:
    usual = [
        call(START_S + 900 * n, model=f"m{n % 7}", input_micro_usd_per_mtok=CHEAP * (1 + n % 7 // 3)) for n in range(40)
    ]
    dear = [call(ONSET_S + 60 * n, model="large", input_micro_usd_per_mtok=DEAR, run="one") for n in range(8)]

    assert kills(judged(dear, usual)) == []


def test_a_new_agent_that_runs_away_from_its_first_minute_is_killed() -> None:
    random, now_s, made = Random(6), ONSET_S, []
    for n in range(120):
        now_s += 4 * random.lognormvariate(0, 0.25)
        size = int(12_000 * random.lognormvariate(0, 0.02))
        made.append(
            call(now_s, agent="new", run="n", step=n, input_tokens=size, output_tokens=random.randrange(90, 400))
        )

    assert kills(judged(made))[0][0] - ONSET_S < 150


def test_honest_sessions_of_a_newcomer_are_left_alone() -> None:
    made = [c for n in range(4) for c in session(ONSET_S + n * HOUR_S, 80, seed=40 + n, agent="newcomer")]

    assert kills(judged(made)) == []


@pytest.mark.parametrize("seed", range(5))
def test_twice_the_traffic_for_an_hour_is_left_alone(seed: int) -> None:
    assert kills(judged(list(honest(ONSET_S, 1, seed=50 + seed, per_hour=40)))) == []


def test_one_huge_document_is_left_alone() -> None:
    assert kills(judged([call(ONSET_S, input_tokens=190_000, output_tokens=4000)])) == []


def test_helpers_started_together_once_are_left_alone() -> None:
    children = [
        c
        for k in range(6)
        for c in session(ONSET_S + 20 + k, 8, seed=70 + k, run=f"c{k}", parent_run="lead", agent=f"a/sub{k}")
    ]
    lead = list(session(ONSET_S, 2, seed=69, run="lead"))

    assert kills(judged(lead + children, sessions())) == []


def test_the_days_before_are_calm_for_service_and_coder() -> None:
    assert kills(judged([], list(honest(START_S, 240)))) == []
    assert kills(judged([], sessions(9))) == []


def test_a_smaller_budget_of_false_kills_kills_later_or_not_at_all() -> None:
    calls = [*honest(START_S, 73), *loop(3.0, 60, run="stuck")]
    times = []
    for budget in (10.0, 1.0, 0.1):
        judge = Judge(JudgeParameters(false_kills_per_1000_agent_days=budget))
        times.append(kills(sittings(judge, JudgeState(), calls))[0][0])

    assert times == sorted(times)


def test_a_verdict_says_which_detectors_spoke_and_names_its_beginning() -> None:
    found = [v for _, v in judged(loop(3.0, 60, run="stuck")) if v.value >= 1.0]

    assert found[0].says["loop"] >= 0.75
    assert ONSET_S <= found[0].window_start_s < ONSET_S + 60
    assert "tokens in" in found[0].reason
