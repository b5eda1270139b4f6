"""An incident keeps what its chart needs, however long it lasts and whoever is started anew; never without bound."""

from collections.abc import Iterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from pages import NOW_S, Filled, agent, runaway

from alerts.decision import Action, Decision
from streams.web.board import Board
from streams.web.histories import KEY, POINTS_MAX, Histories, History

MINUTE_S = 60.0


def passing(filled: Filled, minutes: int, usd: float = 0.1) -> Iterator[None]:
    """Let minutes pass, in each of which the runaway spends the same."""
    begun_s = filled.now_s
    for minute in range(1, minutes + 1):
        filled.now_s = begun_s + MINUTE_S * minute
        filled.pulse([agent("coder-7", filled.now_s, [usd, usd / 2], usual="0.02", peak="0.08")])
        filled.histories.note(filled.board, filled.now_s)
        yield


async def drawn(filled: Filled) -> tuple[list[float], list[float]]:
    async with TestClient(TestServer(filled.app())) as client:
        found = await (await client.get("/incidents/incident-coder-7/chart")).json()
    return found["at_s"], [0.0 if value is None else value for value in found["seen"]]


async def test_an_incident_of_three_days_shows_its_beginning_within_its_bound() -> None:
    filled = Filled()
    runaway(filled, expires_s=None)
    for _ in passing(filled, 3 * 24 * 60):
        pass
    at_s, seen = await drawn(filled)

    assert at_s == sorted(at_s)
    assert at_s[0] <= NOW_S - 30 * MINUTE_S, "from before it began"
    assert len(at_s) < POINTS_MAX + 100
    assert max(seen[:20]) > 0.5, "the rise is still to be seen"
    assert seen[300] == pytest.approx(0.1), "dollars a minute, whatever the width of a point"


async def test_what_was_kept_outlives_a_restart_and_the_topics_of_the_minutes() -> None:
    filled, records = Filled(), dict[bytes, bytes | None]()
    runaway(filled, expires_s=None)
    for _ in passing(filled, 26 * 60):
        records.update(filled.histories.to_keep())
    before = await drawn(filled)
    old = filled.board
    filled.board = Board(old.env, old.orders, 10)
    filled.board.book = old.book
    filled.histories = Histories()
    for key, value in records.items():
        filled.histories.restore(key, value)
    filled.pulse([agent("coder-7", filled.now_s, [0.1] * 30 + [0.05], usual="0.02", peak="0.08")])
    after = await drawn(filled)

    assert list(records) == [KEY + b"incident-coder-7"]
    assert len(records[KEY + b"incident-coder-7"] or b"") < 5_000
    assert after[0][0] == before[0][0]
    assert sum(after[1]) == pytest.approx(sum(before[1]), rel=0.02)


async def test_a_chart_ends_an_hour_after_its_incident_does() -> None:
    filled = Filled()
    runaway(filled)
    for _ in passing(filled, 5):
        pass
    filled.decide(
        Decision(
            at_s=filled.now_s, scope="agent:coder-7", action=Action.RELEASE, reason="mended",
            incident_id="incident-coder-7", actor="page:a", releases_seq=1,
        )
    )  # fmt: skip
    over_s = filled.now_s
    for _ in passing(filled, 300):
        pass
    at_s, _ = await drawn(filled)
    assert over_s + 40 * MINUTE_S < at_s[-1] < over_s + 120 * MINUTE_S


def test_whoever_is_forgotten_is_forgotten_on_the_topic_too() -> None:
    filled = Filled()
    runaway(filled)
    for _ in passing(filled, 20):
        pass
    assert [value is None for _, value in filled.histories.to_keep()] == [False]
    assert list(filled.histories.to_keep()) == [], "nothing is new"
    filled.board.book.forget("incident-coder-7")
    filled.histories.note(filled.board, filled.now_s + MINUTE_S)
    assert list(filled.histories.to_keep()) == [(KEY + b"incident-coder-7", None)]


@pytest.mark.parametrize("value", [None, b"", b"\xc1", b"\x91\xa1a"])
def test_a_record_that_cannot_be_read_changes_nothing(value: bytes | None) -> None:
    histories = Histories()
    histories.restore(KEY + b"x", value)
    assert histories.of("x") == History()


@given(st.integers(0, 3), st.lists(st.integers(1, 97), max_size=60), st.integers(0, 40))
def test_no_dollar_is_lost_while_points_grow_wider(offset: int, strides: list[int], usd: int) -> None:
    history, until = History(), 1_000 + offset
    for stride in [0, *strides]:
        until += stride
        history.fold({minute: float(usd) for minute in range(until - 200, until)}, until)

    covered = history.until - (history.first * history.step)
    assert len(history.slots) <= POINTS_MAX + 1
    assert sum(history.slots) == round(1e6 * usd) * covered
    assert 0 <= until - history.until < history.step
    assert [minute for minute, _ in history.points()][:1] == [history.first * history.step][: len(history.slots)]
