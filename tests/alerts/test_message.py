"""What people read: within Slack's limits, safe whatever an event contained, and saying what was done."""

import json
import re
import unicodedata
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from incident_life import decision

from alerts.blocks import Target, blocks, target_of
from alerts.decision import Action, Evidence
from alerts.figures import cost
from alerts.incident import Act, Incident, Outcome, severity
from alerts.incidents import Book
from alerts.markup import escape
from alerts.message import View, fallback, headline, plain
from alerts.published import encode_alert

ENTITY = re.compile(r"&(amp|lt|gt);")
OWN_MARKUP = re.compile(r"<(!date\^\d+\^\{date_short_pretty\} \{time\}\|[^<>]*|@U[A-Z0-9]+|https://[^<>|]*\|\w+)>")


def view(**more: Any) -> View:
    book = Book()
    book.decided(decision(expires_s=4_600.0, **more), 1_000.0, Outcome(7, 42), offset=1)
    (incident,) = book.incidents.values()
    book.covered(incident.scope, (7, 42), "obeyed by 3 of 4 gateways in 180 ms", 1_001.0)
    return View(incident=book.incidents[incident.id], runbook_url="https://x/{incident}")


def texts(laid: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("type") in {"mrkdwn", "plain_text"}:
                found.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(laid)
    return found


def buttons(shown: View) -> list[str]:
    actions = [block for block in blocks(shown) if block["type"] == "actions"]
    return [element["action_id"].removeprefix("brakeline.") for block in actions for element in block["elements"]]


def test_a_kill_says_what_why_cost_who_obeys_and_until_when() -> None:
    text = fallback(view())

    assert text.startswith("KILLED: agent a. agent:a spends too much. $10.00/min when it was killed, usually $1.00")
    assert "obeyed by 3 of 4 gateways in 180 ms; until 1970-01-01 01:16 UTC" in text


def test_shadow_mode_says_what_would_have_been_done() -> None:
    shown = view(shadow=True)

    assert headline(shown) == "WOULD HAVE KILLED: agent a"
    assert "nothing was stopped" in plain(shown)
    assert buttons(shown) == ["acknowledge", "snooze", "plan"]
    assert severity(shown.incident) == "info"


def test_a_kill_that_was_refused_is_not_said_to_be_one() -> None:
    book = Book()
    book.decided(decision(), 1_000.0, Outcome(refused="too many kills this hour"), offset=1)
    (incident,) = book.incidents.values()

    assert headline(View(incident=incident)) == "NOT KILLED: agent a"
    assert "Not killed: too many kills this hour" in plain(View(incident=incident))


def test_buttons_fit_what_is_in_force() -> None:
    assert buttons(view()) == ["acknowledge", "release", "keep", "extend", "snooze", "plan"]
    assert buttons(view(action=Action.WARN)) == ["acknowledge", "snooze", "plan"]
    assert buttons(view(action=Action.HOLD)) == ["acknowledge", "approve", "deny", "snooze", "plan"]


def test_a_button_carries_the_incident_and_the_command_it_was_drawn_for() -> None:
    shown = view()
    (release,) = [e for e in blocks(shown)[-1]["elements"] if e["action_id"] == "brakeline.release"]

    assert json.loads(release["value"]) == {"i": shown.incident.id, "e": 7, "s": 42}
    assert release["style"] == "danger"
    assert "confirm" in release


def test_a_groups_target_changes_with_any_of_its_members() -> None:
    members = [Incident(id="1", scope="agent:a", seq=1), Incident(id="2", scope="agent:b", seq=5)]
    group = Incident(id="g", scope="team:t", kind="group")
    later = [members[0], Incident(id="2", scope="agent:b", seq=6)]

    assert target_of(group, members) == target_of(group, members[::-1]) != target_of(group, later)
    assert target_of(members[0]) == Target("1", 0, 1)


def test_after_a_click_the_message_says_who() -> None:
    shown = view()
    book = Book(incidents=[shown.incident])
    book.acted(Act("acknowledge", shown.incident.id, "slack:U123", "on it"), 1_010.0)
    text = json.dumps(blocks(View(incident=book.incidents[shown.incident.id])))

    assert "Acknowledged by <@U123>" in text
    assert "on it" in text


def test_cost_without_a_usual_claims_no_factor() -> None:
    incident = Incident(id="1", scope="agent:a", evidence=Evidence(seen_usd_per_min=3.0))

    assert cost(incident) == "$3.00/min now, nothing known of its usual"


NASTY = st.text(
    alphabet=st.sampled_from("a&<>*_`~|!@ \n\x00\x1b\u202e€😀") | st.characters(codec="utf-8"), max_size=400
)


@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY, NASTY, NASTY, st.sampled_from(list(Action)), st.integers(0, 30))
def test_whatever_an_event_contains_the_message_is_safe_and_within_limits(
    name: str, reason: str, model: str, coverage: str, action: Action, count: int
) -> None:
    evidence = Evidence(team=name * 20, agent=name, run=reason, model=model * 40, seen_usd_per_min=1.0)
    incident = Incident(
        id="0123456789abcdef",
        scope=f"agent:{name * 10}",
        action=action,
        reason=reason * 30,
        evidence=evidence,
        detector=model,
        coverage=coverage,
        in_force="killed",
        status_reason=reason,
        expires_s=5_000.0,
    )
    shown = View(incident=incident, members=(incident,) * count, runbook_url=f"https://x/{'y' * 50}")
    laid = blocks(shown)

    header = laid[0]["text"]["text"]
    assert 0 < len(header) <= 150
    for text in texts(laid):
        said = OWN_MARKUP.sub("", text["text"])
        assert 0 < len(text["text"]) <= 3_000
        assert not re.search(r"[<>]", said)
        assert not ENTITY.sub("", said).count("&")
        assert not any(unicodedata.category(char) == "Cc" and char != "\n" for char in said)
    for block in laid:
        assert len(block.get("fields", ())) <= 10
        assert len(block.get("elements", ())) <= 10
    for element in laid[-1]["elements"]:
        assert len(element["text"]["text"]) <= 75
        assert len(element["value"]) <= 2_000
    assert len(json.dumps(laid, ensure_ascii=False)) < 20_000
    json.loads(encode_alert(shown))


@given(NASTY, st.integers(1, 80))
def test_escaping_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(escape(text, limit)) <= limit


@given(NASTY)
def test_plain_text_has_no_control_characters_that_an_event_chose(text: str) -> None:
    written = plain(View(incident=Incident(id="1", scope=f"agent:{text}", reason=text)))

    assert all(unicodedata.category(char) != "Cc" or char == "\n" for char in written)
    assert written.count("\n") == len(re.findall(r"\n  (?=cost|why|done|do|now|detector|began|incident)", written))
