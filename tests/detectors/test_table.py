"""Idle memories are held as their rows; who asks for one can't tell."""

from hypothesis import given
from hypothesis import strategies as st

from detectors.contract import RunTrack
from detectors.memory import AgentMemory
from detectors.row import Packer, Unpacker, pack
from detectors.table import Table

NAMES = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(NAMES, st.integers(0, 3)), max_size=60))
def test_a_table_of_two_objects_answers_as_one_that_holds_all(steps: list[tuple[str, int]]) -> None:
    small, large = Table(AgentMemory, live_max=1), Table(AgentMemory)
    for n, (name, what) in enumerate(steps):
        drained = []
        for table in (small, large):
            memory = table.get(name)
            if memory is None:
                table[name] = memory = AgentMemory(float(n))
            if what == 0:
                del table[name]
            else:
                memory.calls += 1
                memory.last_s = n + 0.1
                memory.runs[f"r{n}"] = RunTrack(1.5, n)
                table.touch(name, memory)
            if what < 3:
                drained.append(table.drain())
        assert all(each == drained[0] for each in drained)
    assert list(small) == list(large)
    assert small == large
    assert [small.last_s(name) for name in small] == [large.last_s(name) for name in large]


@given(st.lists(st.floats(allow_nan=False)), st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.text()))
def test_what_a_row_carries_comes_back_exactly(reals: list[float], wholes: list[int], texts: list[str]) -> None:
    packer = Packer()
    for real in reals:
        packer.real(real)
    packer.wholes(wholes)
    packer.texts(texts)
    packer.amounts(dict(zip(texts, reals, strict=False)))

    row = Unpacker(packer.value())
    assert [row.real(0.0) for _ in reals] == reals
    assert row.wholes([]) == wholes
    assert row.texts([]) == texts
    assert row.amounts({}) == dict(zip(texts, reals, strict=False))


def test_a_table_forgets_the_object_and_keeps_the_row() -> None:
    table = Table(AgentMemory, live_max=1)
    for name in "abc":
        table[name] = AgentMemory(5.0)
        table.drain()
    table.drain()
    before = table["a"]
    table["a"].calls = 7
    assert table["a"] is before

    for name in "bcb":
        table.touch(name, table[name])
        table.drain()

    assert len(table) == 3
    assert table.peek("b") == table["b"]
    assert pack(table["a"]) == pack(AgentMemory(5.0))
