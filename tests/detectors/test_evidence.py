"""What counts as usual: only evidence that came to nothing by itself."""

from hypothesis import given
from hypothesis import strategies as st

from detectors.evidence import Evidence

FADE_S = 600.0


def gathered(steps: list[float], every_s: float) -> Evidence:
    evidence = Evidence()
    for n, nats in enumerate(steps):
        evidence.add(nats, 1e9 + n * every_s, FADE_S)
    return evidence


def test_a_trouble_that_goes_on_for_hours_does_not_raise_its_own_bar() -> None:
    evidence = gathered([2.0] * 100, every_s=240.0)

    assert evidence.nats > 5.0
    assert evidence.bar(10.0, 2.0, 100.0) == 10.0


def test_evidence_that_came_to_nothing_raises_the_bar_for_the_next() -> None:
    evidence = gathered([4.0, 4.0, -20.0], every_s=1.0)

    assert evidence.bar(10.0, 2.0, 100.0) > 15.0


def test_what_was_stopped_does_not_raise_the_bar() -> None:
    evidence = gathered([4.0] * 5, every_s=1.0)
    evidence.reset()
    evidence.add(-1.0, 1e9 + 10.0, FADE_S)

    assert evidence.bar(10.0, 2.0, 100.0) == 10.0


@given(st.lists(st.floats(-5.0, 5.0), max_size=50))
def test_evidence_is_never_below_nothing_and_its_bar_never_above_the_limit(steps: list[float]) -> None:
    evidence = gathered(steps, every_s=30.0)

    assert evidence.nats >= 0.0
    assert 10.0 <= evidence.bar(10.0, 2.0, 30.0) <= 30.0
