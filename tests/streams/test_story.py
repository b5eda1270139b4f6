"""The demo's numbers: what counts as stopped in time, saved and false."""

from io import StringIO

import pytest
from rich.console import Console

from streams.demo.screen import Screen
from streams.demo.show import told
from streams.demo.story import Story


def test_the_summary_compares_with_the_unprotected_twin() -> None:
    story = Story("bad", 100.0)
    story.called("bad", "t", 101.0, 500_000, None)
    story.called("bad", "t", 104.0, 500_000, "looping")
    story.called("good", "t", 104.5, 1, None)
    story.released_at_s = 110.0
    story.called("bad", "t", 111.0, 0, None)

    assert story.summary() == {
        "killed_after_s": 4.0,
        "refused_calls": 1,
        "released": True,
        "overspend_usd": 0.5,
        "saved_usd": 0.5,
        "false_kills": 0,
    }
    assert story.succeeded(10.0)
    assert not story.succeeded(3.0)


def test_a_refused_innocent_spoils_it() -> None:
    story = Story("bad", 100.0)
    story.called("good", "t", 101.0, 1, "mistaken")

    assert story.summary()["false_kills"] == 1
    assert not story.succeeded(10.0)


def test_the_screen_says_of_the_runaway_what_became_of_it() -> None:
    story = Story("bad", 100.0)
    states = []
    for now_s, micro_usd, refusal in ((101.0, 500_000, None), (104.0, 500_000, "looping"), (111.0, 5, None)):
        if refusal is None and now_s > 110.0:
            story.released_at_s = 110.0
        story.called("bad", "t", now_s, micro_usd, refusal)
        states.append(shown(story, now_s))

    assert ["running away" in states[0], "REFUSED" in states[1], "works again" in states[2]] == [True] * 3
    assert "$0.50 burnt, $0.50 saved" in states[2]
    assert "$360 an hour" in states[2]


def test_what_is_not_as_promised_is_said() -> None:
    story = Story("bad", 100.0)
    assert "bad was never refused" in told(story, good=False)
    story.called("bad", "t", 112.0, 1, "looping")
    assert "Not as promised: refused within 10 s" in told(story, good=False)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (100, 30), (120, 40)])
def test_the_screen_fits_the_terminal(columns: int, lines: int) -> None:
    story = Story("coder-1", 100.0)
    story.incident = "KILLED run:r-137ba7cda109\n9 calls in 4 s, most of them about 57,098 tokens in and 377 out\nkill"
    for number in range(20):
        story.called(f"service-{number}", "t", 101.0, 500, None)
    story.called("coder-1", "t", 104.0, 500_000, "looping")
    story.released_at_s = 110.0
    story.called("coder-1", "t", 111.0, 0, None)

    screen = shown(story, 111.0, columns, lines).rstrip("\n").split("\n")

    assert len(screen) < lines
    assert max(map(len, screen)) <= columns
    assert "released, works again" in "\n".join(screen)
    assert "kill" in screen[-2]


def shown(story: Story, now_s: float, columns: int = 100, lines: int = 40) -> str:
    console = Console(width=columns, height=lines, record=True, file=StringIO())
    console.print(Screen(story, now_s, ""))
    return console.export_text()
