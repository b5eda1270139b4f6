"""What is known of an agent's latest call spares look-ups, never a check."""

import re
from typing import Any

import pytest
from feeding import T0_S, batch, engine, event
from hypothesis import example, given
from hypothesis import strategies as st

KNOWN = {"agent": "agent-1", "team": "team-1", "model": "gpt-4o", "run_id": "run-1"}


def quarantined(events: list[dict[str, Any]]) -> list[str]:
    return [found.reason for found in engine().feed(batch(events, at_s=T0_S)).quarantined]


@pytest.mark.parametrize("field", ["team", "model", "run_id", "parent_run_id"])
def test_an_agent_whose_names_were_good_is_still_refused_a_bad_one(field: str) -> None:
    events = [event(0, **KNOWN), event(1, **{**KNOWN, field: "b d"}), event(2, **KNOWN)]
    assert quarantined(events) == ["bad_name"]


@pytest.mark.parametrize("change", [{"status": "odd"}, {"cached_tokens": 2000}, {"ts": T0_S + 900.0}])
def test_an_agent_whose_names_were_good_is_still_refused_bad_numbers(change: dict[str, Any]) -> None:
    assert len(quarantined([event(0, **KNOWN), event(1, **KNOWN, **change)])) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"ts": T0_S - 0.000001},
        {"agent": "agent-2"},
        {"model": "o3"},
        {"input_tokens": 1001},
        {"output_tokens": 101},
        {"input_tokens": 100, "output_tokens": 1000},
        {"run_id": "run-2"},
        {"run_id": ...},
    ],
)
def test_the_same_id_with_another_body_is_a_conflict_not_a_duplicate(change: dict[str, Any]) -> None:
    assert quarantined([event(0, **KNOWN), event(0, **{**KNOWN, **change})]) == ["id_conflict"]
    assert quarantined([event(0, **KNOWN), event(0, **KNOWN)]) == []


@given(st.text(st.sampled_from("aZ9-._:/@ \n\u00e9\u0660\u0430"), max_size=130))
@example("-" * 128)
@example("a" * 128)
@example("a" * 129)
def test_a_name_is_of_the_characters_that_the_refusal_says(name: str) -> None:
    allowed = re.fullmatch(r"[A-Za-z0-9._:/@-]{1,128}", name) is not None
    assert quarantined([event(0, **{**KNOWN, "run_id": name or "_"})]) == ([] if allowed or not name else ["bad_name"])
