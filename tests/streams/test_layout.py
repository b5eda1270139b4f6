"""State that another release wrote: never misread, and no reason not to start."""

from msgspec import msgpack

from alerts.policy import Standing
from detectors.fanout import FanoutMemory
from detectors.row import shape, zeros
from detectors.stall import StallMemory
from streams.layout import KEY
from streams.rows import AgentRow, Rows


def written() -> dict[bytes, bytes]:
    """Rows of an agent that called and of one that is stopped."""
    rows = Rows()
    rows.book("ag-1", rows.open_agent("ag-1", "team-1", 1000.0), 1000.0, 500, 70)
    rows.judge.agent("ag-1", 1000.0)
    rows.standings["agent:ag-2"] = Standing()
    rows._standings_touched.add("agent:ag-2")
    return {key: value for key, value in rows.drain().items() if value is not None}


def test_rows_of_this_release_come_back_whole_and_the_layout_is_told_once() -> None:
    rows = Rows()
    rows.restore(written().items())
    assert isinstance(rows.agents.get("ag-1"), AgentRow)
    assert "ag-1" in rows.judge.agents
    assert not rows.unread
    assert KEY not in rows.drain()


def test_a_shard_that_begins_with_nothing_tells_its_layout_with_its_first_rows() -> None:
    rows = Rows()
    rows.restore([])

    assert KEY in rows.drain()
    assert KEY not in rows.drain()


def test_rows_of_another_layout_are_left_out_and_taken_back_and_what_is_stopped_stays_stopped() -> None:
    old = {**written(), KEY: msgpack.encode({"a": "?", "b": "?", "j": "?", "o": "?"})}
    rows = Rows()
    rows.restore(old.items())
    assert "ag-1" not in rows.agents
    assert "agent:ag-2" in rows.standings
    out = rows.drain()
    assert out[b"a:ag-1"] is None
    assert out[b"j:agents:ag-1"] is None
    assert list(out)[-1] == KEY
    again = Rows()
    again.restore((key, value) for key, value in {**old, **out}.items() if value is not None)
    assert not again.unread


def test_only_the_kinds_of_rows_that_changed_are_left_out() -> None:
    old = written()
    layout = msgpack.decode(old[KEY])
    rows = Rows()
    rows.restore({**old, KEY: msgpack.encode({**layout, "j": "?"})}.items())
    assert "ag-1" in rows.agents
    assert "ag-1" not in rows.judge.agents


def test_rows_from_before_layouts_were_told_count_as_another() -> None:
    old = written()
    del old[KEY]
    rows = Rows()
    rows.restore(old.items())
    assert b"a:ag-1" in rows.unread
    assert KEY in rows.drain()


def test_a_table_of_another_length_and_a_memory_of_another_kind_are_other_shapes() -> None:
    longer = StallMemory()
    longer.paces = zeros(len(longer.paces) + 1)
    assert shape([StallMemory()]) == shape([StallMemory()])
    assert len({shape([StallMemory()]), shape([longer]), shape([FanoutMemory()])}) == 3
