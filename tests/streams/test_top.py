"""`brakeline top`: legible on a small terminal, the worst first, and gone when somebody presses q."""

import asyncio
import os
import sys
import termios

import pytest
from pages import Filled, agent, course, runaway
from rich.console import Console

from alerts.decision import Action
from streams.top import quit_by_key, table_of


@pytest.fixture
def filled() -> Filled:
    made = Filled()
    made.pulse([agent(f"calm-{n}", made.now_s, [0.1 * n] * 2, team="billing", usual="0.1") for n in range(40)])
    runaway(made)
    runaway(made, "a-name-that-goes-on-and-on-0123456789", action=Action.HOLD, incident_id="i-2")
    course(made, "r-1", "calm-3", 9.0)
    return made


def lines(filled: Filled, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height)
    with console.capture() as said:
        console.print(table_of(filled.board, filled.now_s, height - 4, width))
    return [line.rstrip() for line in said.get().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_it_fits_the_terminal_with_whole_numbers_and_who_is_stopped_first(
    filled: Filled, width: int, height: int
) -> None:
    said = lines(filled, width, height)

    assert len(said) == height - 2
    assert max(map(len, said)) <= width
    assert {line.split()[0] for line in said[2:4]} == {"killed", "held"}
    assert "coder-7" in said[2] + said[3]
    assert "38 calls in a row" in said[2] + said[3]
    assert all("…" not in line[34:50] for line in said[2:]), "numbers are whole"
    burning = [float(line[34:44]) for line in said[4:] if line.startswith("ok")] if width == 80 else [2.0, 1.0]
    assert burning == sorted(burning, reverse=True)


def test_a_suspicious_run_is_among_them(filled: Filled) -> None:
    (run,) = [line for line in lines(filled, 120, 40) if "run r-1" in line]
    assert run.startswith("watch")
    assert "its context grows" in run


async def test_q_ends_it_and_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    person, keyboard = os.openpty()
    with os.fdopen(keyboard) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before, stop = termios.tcgetattr(keyboard), asyncio.Event()
        with quit_by_key(stop):
            os.write(person, b"x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.05)
            os.write(person, b"q")
            await asyncio.wait_for(stop.wait(), 10)
        assert termios.tcgetattr(keyboard) == before
    os.close(person)
