"""State that another release wrote: never misread, and no reason not to start."""

from msgspec import msgpack

from alerts.policy import RuleBook, Rules, Standing
from detectors.fanout import FanoutMemory
from detectors.judge import Judge
from detectors.row import Memory, shape, zeros
from detectors.stall import StallMemory
from detectors.state import OF_AGENTS, OF_TEAMS
from detectors.table import Kept
from streams.effects import WindowUsage
from streams.layout import KEY
from streams.rows import AgentRow, Rows, ShardRow
from streams.teams import TeamRow, Teams
from streams.windows import Count, Ledger, Usage


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
    assert not rows.layout.unread
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
    assert not again.layout.unread


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
    assert b"a:ag-1" in rows.layout.unread
    assert KEY in rows.drain()


def test_a_table_of_another_length_and_a_memory_of_another_kind_are_other_shapes() -> None:
    longer = StallMemory()
    longer.paces = zeros(len(longer.paces) + 1)
    assert shape([StallMemory()]) == shape([StallMemory()])
    assert len({shape([StallMemory()]), shape([longer]), shape([FanoutMemory()])}) == 3


def teams() -> Teams:
    """The stage of one shard."""
    return Teams(RuleBook.same(Rules()), Judge(), 1, 0.0)


def test_the_rows_of_teams_are_no_less_sure_of_their_layout() -> None:
    first = teams()
    first.feed("events/0", {"team-1": [WindowUsage("ag-1", 60, 60, Usage(1, 500, 70))]}, 1_000.0)
    rows = {key: value for key, value in first.drain().items() if value is not None}
    same, other = teams(), teams()

    same.restore(list(rows.items()))
    other.restore(list({**rows, KEY: msgpack.encode({"t": "?", "m": "?"})}.items()))

    assert "team-1" in same.rows
    assert KEY not in same.drain()
    assert not other.rows
    assert other.watermarks == {"events/0": 1_000.0}
    assert "rows of state of teams[3]" in other.layout.trouble("teams", 3)
    assert other.drain()[b"t:team-1"] is None


def kinds(memory: type[Memory] = Memory) -> set[type[Memory]]:
    """All kinds of memory there are."""
    return {memory}.union(*(kinds(each) for each in memory.__subclasses__()))


def test_every_kind_of_memory_is_part_of_the_layout() -> None:
    of_rows = {AgentRow, ShardRow, Ledger, Count, TeamRow, *OF_AGENTS, *OF_TEAMS}
    assert kinds() - {Memory, Kept} == of_rows
