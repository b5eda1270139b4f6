"""What a change of the settings means, in words; which value is in force, and from which line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from streams.cli import app
from streams.settings import Settings, published
from streams.settings.audiences import Audience
from streams.settings.compare import Change, compare
from streams.settings.document import parse
from streams.settings.live import is_live
from streams.settings.origins import origins
from streams.settings.phrases import LADDERS, PHRASES, effect

ROOT = Path(__file__).resolve().parents[2]


def changes(old: str, new: str) -> list[Change]:
    return compare(*(Settings.model_validate(parse(text).values) for text in (old, new)))


def said(old: str, new: str) -> list[tuple[str, str, str]]:
    return [(change.whom, change.effect, change.words) for change in changes(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "mode: shadow",
            "mode: armed",
            ("everybody", "tighter", "runaways are stopped (armed); until now: only spoken of (shadow)"),
        ),
        (
            "policy: {kill_duration_s: 7200}",
            "",
            ("everybody", "looser", "a detector's kill lasts 1 h; until now: 2 h"),
        ),
        (
            "",
            "limits: [{scope: 'agent:*', usd: 5, per: hour}]",
            ("agent:*", "tighter", "at most $5 an hour; until now: no limit"),
        ),
        (
            "limits: [{scope: 'run:*', steps: 9}]",
            "limits: [{scope: 'run:*', steps: 90}]",
            ("run:*", "looser", "at most 90 steps a run; until now: at most 9 steps a run"),
        ),
        (
            "gates: [{name: dear, models: ['*opus*'], min_estimated_usd: 2}]",
            "gates: []",
            (
                "gate dear",
                "looser",
                "no longer wait for approval; until now: calls of *opus* from $2 on are held",
            ),
        ),
        (
            "",
            "gates: [{name: shell, teams: [lab], tools: [shell]}]",
            (
                "gate shell",
                "tighter",
                "calls of teams lab that offer shell are held, until a person approves; until now: no gate",
            ),
        ),
        (
            "protected: ['team:a']",
            "protected: []",
            ("team:a", "tighter", "may be stopped by a detector again"),
        ),
        (
            "",
            "detectors: {loop: {enabled: false}}",
            ("everybody", "looser", "detector loop is switched off"),
        ),
        (
            "slack_users: {U1: operator}",
            "slack_users: {U1: admin}",
            ("Slack U1", "", "is an admin; until now: operator"),
        ),
        (
            "",
            "notify: {repeat_s: {warning: 7200}}",
            ("people", "", "a warning that nobody acknowledged is told again every 2 h; until now: never"),
        ),
        (
            "notify: {quiet_hours: [{start: 21:30, end: '06:00', zone: Europe/Berlin, days: [sat], hold: [info]}]}",
            "",
            ("people", "", "quiet hours: none; until now: 21:30 to 06:00 Europe/Berlin on sat (info wait)"),
        ),
        (
            "",
            "policy: {blast_radius: {max_usd: 900}}",
            ("everybody", "looser", "at most $900 of spend is stopped without a person; until now: any amount"),
        ),
    ],
)
def test_a_change_is_said_in_words_with_whom_it_is_for(old: str, new: str, expected: tuple[str, str, str]) -> None:
    assert said(old, new) == [expected]


def test_an_override_is_said_for_those_it_names_and_they_are_left_out_of_everybody() -> None:
    found = said(
        "policy: {cooldown_s: 60, overrides: [{team: research, cooldown_s: 30}]}",
        "policy: {cooldown_s: 90, overrides: [{team: research, cooldown_s: 30}, {scope: 'agent:b-*', mode: armed}]}",
    )

    assert found == [
        (
            "everybody",
            "looser",
            "after a release a scope is left alone for 1.5 min; until now: 1 min (not for team research: overridden)",
        ),
        ("agent:b-*", "tighter", "runaways are stopped (armed); until now: only spoken of (shadow)"),
    ]


def test_what_needs_a_restart_says_so_and_secrets_are_not_shown() -> None:
    old = "slack: {token: one, channel: C}"
    found = changes(old, "slack: {token: two, channel: C}\nservice: {web_port: 1}")

    assert [(c.field, c.needs_restart) for c in found] == [("service.web_port", True), ("slack.token", False)]
    assert "two" not in str(found)


def test_the_readme_names_what_needs_a_restart_and_nothing_else() -> None:
    named = {name for name in Settings.model_fields if not is_live(name)} - {"logs"}
    (sentence,) = re.findall(r"Only ([^.]*(?:\.format)[^.]*)\nneed a restart", (ROOT / "README.md").read_text())

    assert set(re.findall(r"`([a-z_.]+)`", sentence)) == {*named, "logs.format"}


NUMBERS = sorted(field for field, phrase in PHRASES.items() if phrase.more)


@given(st.sampled_from(NUMBERS), st.integers(1, 100), st.integers(1, 100))
def test_a_change_back_has_the_opposite_effect(field: str, one: int, other: int) -> None:
    if one != other:
        assert {effect(field, one, other), effect(field, other, one)} == {"tighter", "looser"}


def test_every_setting_of_the_policy_and_of_telling_people_has_words() -> None:
    from streams.settings.audiences import EVERYBODY, in_force, leaves

    assert {*in_force(Settings(), EVERYBODY), *dict(leaves(Settings().notify, "notify."))} == set(PHRASES)
    assert set(LADDERS) <= set(PHRASES)


TEXT = """\
mode: armed
policy:
  kill_duration_s: 7200
  overrides:
    - {team: research, floors: {min_calls: 5}}
    - scope: agent:batch-*
      kill_duration_s: 600
limits:
  - {scope: "agent:*", usd: 50, per: hour}
  - {scope: "agent:batch-*", usd: 20, per: hour}
  - {scope: "run:*", steps: 500}
gates:
  - {name: dear, models: ["*opus*"], agents: ["batch-*"]}
  - {name: shell, tools: [shell], teams: [lab]}
notify:
  repeat_s: {warning: 7200}
  quiet_hours: [{zone: Europe/Berlin}]
"""


def where(whom: Audience) -> dict[str, tuple[str, int | None]]:
    document = parse(TEXT)
    found = origins(Settings.model_validate(document.values), document, whom)
    return {each.words: (each.source, each.line) for each in found}


def test_each_value_in_force_is_shown_with_where_it_comes_from() -> None:
    found = where(Audience("agent:batch-1", "research", ""))

    assert found["runaways are stopped (armed)"] == ("file", 1)
    assert found["a detector's kill lasts 10 min"] == ("agent:batch-*", 7)
    assert found["nothing is stopped before 5 calls"] == ("team research", 5)
    assert found["after a release a scope is left alone for 1 min"] == ("default", None)
    assert found["at most $20 an hour"] == ("agent:batch-*", 10)
    assert found["its runs: at most 500 steps a run"] == ("run:*", 11)
    assert "at most $50 an hour" not in found
    assert found["calls of agents batch-* of *opus* are held until a person approves"] == ("dear", 13)
    assert not any("shell" in words for words in found)
    assert found["a warning that nobody acknowledged is told again every 2 h"] == ("file", 16)
    assert found["a critical incident that nobody acknowledged is told again every 1 h"] == ("default", None)
    assert found["quiet hours: 22:00 to 07:00 Europe/Berlin (info, warning wait)"] == ("file", 17)


def test_others_have_what_the_file_says_for_everybody() -> None:
    found = where(Audience("agent:chat-1", "", ""))

    assert found["a detector's kill lasts 2 h"] == ("file", 3)
    assert found["at most $50 an hour"] == ("agent:*", 9)


def test_the_commands_say_it(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("mode: shadow\n")
    (tmp_path / "new.yaml").write_text(TEXT)

    found = CliRunner().invoke(app, ["diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")])
    assert found.exit_code == 0
    assert "  tighter  runaways are stopped" in found.output

    file = str(tmp_path / "new.yaml")
    found = CliRunner().invoke(app, ["explain-config", "agent:batch-1", "--config", file])
    assert f"{file}:7  for agent:batch-*" in found.output
    assert "Not considered: the override for team research" in found.output
    assert CliRunner().invoke(app, ["explain-config", "batch-1", "--config", file]).exit_code == 2


def test_the_published_schema_is_what_the_settings_are() -> None:
    assert (ROOT / "deploy/brakeline.schema.json").read_text() == published.text(), "run `make generate`"
