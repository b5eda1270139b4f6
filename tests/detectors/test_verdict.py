"""How what the detectors say becomes one verdict."""

from hypothesis import given
from hypothesis import strategies as st

from detectors.contract import Score
from detectors.parameters import JudgeParameters
from detectors.registry import DETECTORS
from detectors.verdict import SPEAK_AT, heard_alone, weigh

SAYS = st.dictionaries(
    st.sampled_from([n for n in DETECTORS if "ceiling" not in n and n != "team_rise"]),
    st.floats(0.3, 3.0).map(lambda value: Score(value, "why")),
    min_size=1,
)


@given(SAYS, st.floats(1.0, 2.0))
def test_a_higher_bar_never_raises_a_verdict(says: dict[str, Score], bar: float) -> None:
    assert weigh(says, 1.5, bar).value <= weigh(says, 1.5, 1.0).value


@given(SAYS)
def test_one_more_voice_never_lowers_a_verdict(says: dict[str, Score]) -> None:
    for name in says:
        fewer = {other: score for other, score in says.items() if other != name}
        if fewer:
            assert weigh(fewer, 1.5, 1.0).value <= weigh(says, 1.5, 1.0).value + 1e-9


@given(st.sampled_from([n for n in DETECTORS if n != "team_rise"]), st.floats(0.3, 3.0), st.floats(0.1, 1000.0))
def test_a_single_voice_that_is_not_weighed_would_not_be_heard(name: str, value: float, budget: float) -> None:
    score, bar = Score(value, "why"), JudgeParameters(false_kills_per_1000_agent_days=budget).bar

    assert heard_alone(name, score, bar) or "ceiling" in name or weigh({name: score}, 1.5, bar).value < SPEAK_AT


@given(st.floats(0.0, 3.0))
def test_drift_alone_never_kills(value: float) -> None:
    weighed = weigh({"drift": Score(value, "why")}, 1.5, 1.0)

    assert weighed.alert_only or weighed.value < SPEAK_AT


def test_a_ceiling_is_sure_beside_anything() -> None:
    weighed = weigh({"drift": Score(0.9, ""), "ceiling": Score(2.0, "over")}, 1.5, 1.4)

    assert (weighed.detector, weighed.sure, weighed.value >= 1.0) == ("ceiling", True, True)


def test_two_halves_are_less_than_one_whole() -> None:
    halves = {"loop": Score(0.5, ""), "stall": Score(0.5, "")}

    assert weigh(halves, 1.5, 1.0).value < 1.0


@given(st.floats(0.001, 100.0), st.floats(0.001, 100.0))
def test_a_smaller_budget_never_lowers_the_bar(one: float, other: float) -> None:
    low, high = sorted((one, other))
    bars = [JudgeParameters(false_kills_per_1000_agent_days=b).bar for b in (low, high)]

    assert bars[0] >= bars[1]
