"""Who is in the table: whoever is stopped, and suspicious runs, with what they spend, and never too many."""

import re

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec import json
from pages import Filled, agent, course, runaway

from alerts.decision import Evidence
from alerts.obedience import Disobedience
from streams.pulse import Scored
from streams.web.runs import KEEP_S, RUNS_MAX, Runs
from streams.web.table import PAGE


async def rows(filled: Filled, path: str) -> list[tuple[str, str]]:
    filled.now_s += 2.0
    async with TestClient(TestServer(filled.app())) as client:
        text = await (await client.get(path)).text()
    return re.findall(r'<tr id="(agent|run|team) ([^"]+)"', text)


@pytest.fixture
def filled() -> Filled:
    made = Filled()
    made.pulse([agent("planner", made.now_s, [1.0, 1.0], team="b"), agent("calm", made.now_s, [0.5], team="a")])
    course(made, "r-suspect", "planner", 0.7)
    whose = Evidence(team="a", agent="calm", run="r-killed")
    runaway(made, "calm", scope="run:r-killed", incident_id="of-a-run", evidence=whose)
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("show=runs", [("run", "r-killed"), ("run", "r-suspect")]),
        ("show=runs&q=planner", [("run", "r-suspect")]),
        ("show=runs&team=b", [("run", "r-suspect")]),
        ("state=stopped", [("agent", "calm"), ("run", "r-killed")]),
        ("show=agents&state=stopped", [("agent", "calm")]),
    ],
)
async def test_a_run_is_found_by_its_kind_agent_team_and_state(
    filled: Filled, query: str, expected: list[tuple[str, str]]
) -> None:
    assert await rows(filled, f"/?{query}") == expected


async def test_a_run_says_whose_it_is_what_it_burns_and_why(filled: Filled) -> None:
    async with TestClient(TestServer(filled.app())) as client:
        text = await (await client.get("/?show=runs&q=r-suspect")).text()
    assert "run of planner" in text
    assert "<b>$0.70</b>" in text
    assert "its context grows by 12 % a step" in text


async def test_many_runs_are_cut_into_pages(filled: Filled) -> None:
    for number in range(PAGE + 7):
        course(filled, f"r-{number}", "planner", 0.1, minutes=1)

    first, second = await rows(filled, "/?show=runs"), await rows(filled, "/?show=runs&page=2")
    assert (len(first), len(second)) == (PAGE, 9)
    assert not set(first) & set(second)


def said(name: str, at_s: float, spend_usd: float, began_s: float = 0.0) -> Scored:
    return Scored(f"run:{name}", "a", at_s, 0.6, "loop", "why", began_s, spend_usd)


def test_a_runs_minute_is_what_it_spent_since_the_minute_before() -> None:
    runs = Runs()
    for at_s in range(1_000, 1_301, 2):
        runs.take(said("r", at_s, (at_s - 1_000) / 60, 1_000.0))

    assert runs.usd_per_min("r", 1_300.0) == pytest.approx(1.0)
    assert runs.lately("r", 1_300.0, 10) == pytest.approx([0.0] * 5 + [1.0] * 5)
    assert runs.usd_per_min("r", 2_000.0) == 0.0
    assert runs.usd_per_min("nobody", 1_300.0) == 0.0


def test_runs_are_bounded_and_forgotten() -> None:
    runs = Runs()
    for number in range(RUNS_MAX + 5):
        runs.take(said(f"r{number}", 1_000.0, 1.0))
    assert (len(runs.known), "r4" in runs.known, "r5" in runs.known) == (RUNS_MAX, False, True)

    runs.forget(1_001.0 + KEEP_S)
    assert not runs.known


def test_a_long_run_keeps_its_beginning_and_a_bounded_course() -> None:
    runs = Runs()
    for at_s in range(0, 100_000, 10):
        runs.take(said("r", at_s, at_s / 60))

    assert len(runs.known["r"].at_s) <= 241
    assert runs.usd_per_min("r", 99_990.0) == pytest.approx(1.0)


async def test_a_stopped_run_says_what_it_burned_then_and_what_it_burns_all_the_same(filled: Filled) -> None:
    async def row() -> str:
        filled.now_s += 2.0
        async with TestClient(TestServer(filled.app())) as client:
            text = await (await client.get("/?show=runs&q=r-dear")).text()
        return text.partition("<tbody>")[2]

    runaway(filled, "dear", scope="run:r-dear")
    before = await row()
    assert "<b>$0</b><small>was $1.32</small>" in before

    seen = Disobedience(
        scope="run:r-dear", calls=3, new_calls=3, last_began_s=filled.now_s, at_s=filled.now_s, spend_usd=0.6,
        agent="dear",
    )  # fmt: skip
    unreadable = filled.board.read.unreadable
    filled.board.take("acks", None, json.encode(seen), filled.now_s)
    assert "<b>$0.60</b><small>was $1.32</small>" in await row()
    assert filled.board.read.unreadable == unreadable


def test_calls_after_a_kill_go_on_from_what_the_run_had_spent_and_a_count_begun_anew_adds_to_it() -> None:
    runs = Runs()
    runs.take(Scored("run:r", "a", 100.0, 1.2, "loop", "", 40.0, 5.0))
    for at_s, calls, usd in ((160.0, 2, 1.0), (170.0, 3, 1.5), (200.0, 1, 0.25)):
        runs.leaked(Disobedience(scope="run:r", calls=calls, new_calls=1, last_began_s=at_s, at_s=at_s, spend_usd=usd))

    assert runs.known["r"].spent[-3:] == [6.0, 6.5, 6.75]
    assert runs.usd_per_min("r", 220.0) == pytest.approx(0.75)


async def test_an_agent_that_is_stopped_stays_in_the_table_however_long_it_is_silent() -> None:
    filled = Filled()
    runaway(filled, expires_s=filled.now_s + 9 * 3600)
    filled.now_s += 2 * 3600.0
    filled.pulse([agent("other", filled.now_s, [0.1, 0.1])])
    assert "coder-7" not in filled.board.agents.known
    async with TestClient(TestServer(filled.app())) as client:
        text = await (await client.get("/?state=stopped")).text()

    assert '<tr id="agent coder-7" class="killed">' in text
    assert "<b>$0</b><small>was $1.32</small>" in text
    assert "research" in text
