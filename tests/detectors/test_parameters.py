"""Whatever value of a parameter the settings accept, the judge runs with it."""

from collections.abc import Iterator
from dataclasses import fields, replace

import msgspec
import pytest
from calls import HOUR_S, START_S, call, honest, session, sittings

from detectors.contract import Call
from detectors.judge import Judge, JudgeParameters, JudgeState
from streams.settings.detectors import OFF_AT_ZERO, mistakes

BY_CALL = JudgeParameters().by_call()


def parameters() -> Iterator[tuple[str, str]]:
    for name, detector in BY_CALL.items():
        for field in fields(detector):  # type: ignore[arg-type]
            yield name, field.name


def eventful() -> list[Call]:
    """Return a day of an agent with honest calls and a session, then a loop of three sizes of which some fail."""
    stuck = [
        call(START_S + 25 * HOUR_S + 3 * n, input_tokens=9000 + 60 * (n % 3), run="stuck", failed=n % 7 == 0)
        for n in range(60)
    ]
    return [*honest(START_S, 24), *session(START_S + HOUR_S, 40), *stuck]


@pytest.mark.parametrize(("name", "parameter"), list(parameters()))
@pytest.mark.parametrize("value", [0, -1, 0.001, 1_000_000])
def test_a_value_is_refused_with_its_place_or_the_judge_runs_with_it(name: str, parameter: str, value: float) -> None:
    found = list(mistakes({name: {parameter: value}}))
    if found:
        (path, words) = found[0]
        assert path == ("detectors", name, parameter)
        assert repr(value) in words
        return
    detector = BY_CALL[name]
    kind = type(getattr(detector, parameter))
    changed = replace(detector, **{parameter: kind(value)})  # type: ignore[type-var]

    sittings(Judge(msgspec.structs.replace(JudgeParameters(), **{name: changed})), JudgeState(), eventful())


@pytest.mark.parametrize("limit", ["depth", "usd", "steps"])
def test_a_limit_of_zero_is_one_and_below_zero_is_none(limit: str) -> None:
    assert not list(mistakes({"run_ceiling": {limit: 0}}))
    assert list(mistakes({"run_ceiling": {limit: -1}}))


@pytest.mark.parametrize("parameter", sorted(OFF_AT_ZERO))
def test_what_is_switched_off_by_zero_is_a_parameter_and_takes_zero(parameter: str) -> None:
    owners = [name for name, each in parameters() if each == parameter] or ["team_rise"]

    assert not list(mistakes({owners[0]: {parameter: 0}}))
    assert list(mistakes({owners[0]: {parameter: -1}}))
