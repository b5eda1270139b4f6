"""The demo's numbers: what counts as stopped in time, saved and false."""

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
