"""The life of incidents: one thing that happened is one incident, whatever is heard of it and how often."""

from datetime import UTC, datetime

import pytest
from incident_life import decision
from msgspec.structs import replace

from alerts.decision import Action
from alerts.incident import CHAT, Act, Incident, Outcome, Status, decode_row, encode_row
from alerts.incidents import Book, Rules
from alerts.notices import QuietHours, Repeats, Telling, due, intending, told
from alerts.passing import tick

NOW = 1_000.0


def only(book: Book) -> Incident:
    (incident,) = book.incidents.values()
    return incident


def tell_all(book: Book, now_s: float) -> list[str]:
    needs = []
    for notice in due(book, CHAT, Telling(), now_s):
        incident = book.incidents[notice.incident]
        needs.append(notice.need)
        book.update(told(incident, CHAT, incident, ("C1", "1.0"), now_s))
    return needs


def killed(**more: object) -> Book:
    book = Book()
    book.decided(decision(**more), NOW, Outcome(1, 1), offset=5)  # type: ignore[arg-type]
    return book


def test_a_replayed_decision_changes_nothing() -> None:
    book = killed()

    assert book.decided(decision(), NOW + 9, Outcome(1, 1), offset=5) == set()


def test_a_replayed_kill_does_not_reopen_what_was_released() -> None:
    book = killed()
    release = decision(action=Action.RELEASE, at_s=200.0, actor="user:alice")
    book.decided(release, NOW + 1, Outcome(1, 2), offset=6)

    assert book.decided(decision(), NOW + 9, offset=5) == set()
    assert book.decided(release, NOW + 9, Outcome(refused="released already"), offset=6) == set()
    assert only(book).status is Status.RELEASED


def test_a_topic_that_begins_anew_is_heard() -> None:
    book = killed()

    assert book.decided(decision(at_s=5_000.0), NOW + 9, Outcome(1, 2), offset=0)


def test_another_detector_on_the_same_scope_joins_its_incident() -> None:
    book = killed()
    other = decision(detector="loop", at_s=101.0)
    book.decided(other, NOW + 1, Outcome(1, 2), offset=6)

    assert only(book).seq == 2
    assert book.find(other.incident_id) is only(book)


def test_a_release_frees_and_says_who() -> None:
    book = killed()
    book.decided(
        decision(action=Action.RELEASE, reason="a test run", actor="user:alice"), NOW + 5, Outcome(1, 2), offset=6
    )

    incident = only(book)
    assert (incident.status, incident.in_force, incident.status_by) == (Status.RELEASED, "", "user:alice")
    assert incident.timeline[-1].what == "released: a test run"


def test_a_refused_release_leaves_the_kill_in_force_and_says_so() -> None:
    book = killed()
    release = decision(action=Action.RELEASE, at_s=200.0)
    book.decided(release, NOW + 5, Outcome(refused="seq 1 is no longer in force"), offset=6)

    assert only(book).in_force == "killed"
    assert "refused" in only(book).timeline[-1].what


def test_a_kill_after_a_release_reopens_and_tells_again() -> None:
    book = killed()
    tell_all(book, NOW + 2)
    book.decided(decision(action=Action.RELEASE, at_s=200.0), NOW + 5, Outcome(1, 2), offset=6)
    tell_all(book, NOW + 10)
    book.decided(decision(at_s=300.0), NOW + 20, Outcome(1, 3), offset=7)

    assert only(book).status is Status.OPEN
    assert tell_all(book, NOW + 30) == ["update"]
    assert [notice.need for notice in due(book, CHAT, Telling(), NOW + 40)] == ["nudge"]


def test_an_acknowledgement_holds_until_it_gets_worse() -> None:
    book = Book()
    book.decided(decision(action=Action.WARN), NOW, offset=1)
    book.acted(Act("acknowledge", only(book).id, "slack:U1"), NOW + 1)
    book.decided(decision(action=Action.WARN, at_s=101.0), NOW + 2, offset=2)
    assert only(book).status is Status.ACKNOWLEDGED

    book.decided(decision(at_s=102.0), NOW + 3, Outcome(1, 1), offset=3)
    assert only(book).status is Status.OPEN


def test_a_snooze_ends_and_asks_again() -> None:
    book = killed()
    book.acted(Act("snooze", only(book).id, "slack:U1", until_s=NOW + 60), NOW + 1)
    tick(book, NOW + 59)
    assert only(book).status is Status.SNOOZED

    tick(book, NOW + 60)
    assert (only(book).status, only(book).nudges) == (Status.OPEN, 1)


def test_what_is_planned_stays_quiet_for_warnings_and_wakes_for_a_kill() -> None:
    book = Book()
    book.decided(decision(action=Action.WARN), NOW, offset=1)
    book.acted(Act("plan", only(book).id, "slack:U1", "load test", NOW + 600), NOW + 1)
    book.decided(decision(action=Action.WARN, at_s=101.0), NOW + 2, offset=2)
    assert only(book).status is Status.PLANNED

    book.decided(decision(at_s=102.0), NOW + 3, Outcome(1, 1), offset=3)
    assert only(book).status is Status.OPEN


def test_an_expired_kill_resolves() -> None:
    book = Book()
    book.decided(decision(expires_s=NOW + 30), NOW, Outcome(1, 1), offset=1)
    tick(book, NOW + 30)

    assert (only(book).status, only(book).in_force) == (Status.RESOLVED, "")


def test_a_kill_in_force_never_resolves_by_itself_nor_retires() -> None:
    book = killed()
    tick(book, NOW + 10 * 86_400)

    assert only(book).active


def test_closed_incidents_retire() -> None:
    book = Book()
    book.decided(decision(action=Action.WARN), NOW, offset=1)
    name = only(book).id
    tick(book, NOW + 900)
    assert only(book).status is Status.RESOLVED

    assert tick(book, NOW + 900 + 86_400) == {name}
    assert not book.incidents


def test_the_book_is_bounded_and_keeps_kills_in_force() -> None:
    book = Book(Rules(incidents_max=10))
    book.decided(decision("killed"), NOW, Outcome(1, 1))
    for number in range(30):
        book.decided(decision(f"warned-{number}", Action.WARN), NOW + number)
    tick(book, NOW + 40)

    assert len(book.incidents) == 10
    assert book.current("agent:killed")


def test_coverage_of_an_older_command_is_ignored() -> None:
    book = killed()
    assert book.covered("agent:a", (1, 0), "obeyed by 4 of 4", NOW) == set()

    book.covered("agent:a", (1, 1), "obeyed by 3 of 4 gateways in 180 ms", NOW)
    assert only(book).coverage == "obeyed by 3 of 4 gateways in 180 ms"


def test_quiet_hours_hold_warnings_and_let_kills_through() -> None:
    night = Telling(quiet=(QuietHours(start_min=22 * 60, end_min=7 * 60),))
    midnight_s, morning_s = 86_400.0, 86_400.0 + 8 * 3_600
    book = Book()
    book.decided(decision("w", Action.WARN), midnight_s)
    book.decided(decision("k"), midnight_s, Outcome(1, 1))

    at_night = [book.incidents[notice.incident].scope for notice in due(book, CHAT, night, midnight_s + 5)]
    in_the_morning = [book.incidents[notice.incident].scope for notice in due(book, CHAT, night, morning_s)]
    assert (at_night, in_the_morning) == (["agent:k"], ["agent:k", "agent:w"])


def test_an_unacknowledged_kill_is_said_again_and_an_acknowledged_one_is_not() -> None:
    book = killed()
    tell_all(book, NOW + 2)
    assert [notice.need for notice in due(book, CHAT, Telling(), NOW + 3_700)] == ["nudge"]

    book.acted(Act("acknowledge", only(book).id, "slack:U1"), NOW + 5)
    tell_all(book, NOW + 10)
    assert due(book, CHAT, Telling(), NOW + 90_000) == []


def test_a_first_message_whose_fate_is_unknown_is_marked_so() -> None:
    book = killed()
    book.update(intending(only(book), CHAT, NOW + 2))
    restored = Book(incidents=[decode_row(encode_row(only(book)))])

    (notice,) = due(restored, CHAT, Telling(), NOW + 3)
    assert notice.uncertain


def test_a_command_seen_on_the_kill_topic_is_known_once_whoever_wrote_it() -> None:
    book = killed()
    by_hand = decision(action=Action.RELEASE, at_s=200.0, actor="user:alice")
    assert book.observed(decision(), Outcome(1, 1), NOW + 1) == set()

    assert book.observed(by_hand, Outcome(2, 2), NOW + 2)
    assert book.observed(by_hand, Outcome(2, 2), NOW + 3) == set()
    assert (only(book).status, only(book).status_by) == (Status.RELEASED, "user:alice")


def test_a_kill_made_while_the_service_was_down_opens_an_incident() -> None:
    book = Book()
    book.observed(decision(actor="user:alice"), Outcome(3, 1), NOW)

    assert (only(book).in_force, only(book).actor) == ("killed", "user:alice")


def test_what_was_seen_on_the_topic_first_is_not_said_twice() -> None:
    book = Book()
    book.observed(decision(), Outcome(1, 1), NOW)
    book.decided(decision(), NOW, Outcome(1, 1), offset=7)

    assert (len(only(book).timeline), only(book).offset) == (1, 7)


def test_a_decision_by_the_id_of_another_scopes_incident_does_not_touch_it() -> None:
    book = killed()
    before = only(book)
    stranger = replace(decision("b"), incident_id=before.id)
    book.decided(stranger, NOW + 1, Outcome(1, 2), offset=6)
    book.decided(stranger, NOW + 2, Outcome(1, 2), offset=6)

    assert book.incidents[before.id] == before
    assert len(book.incidents) == 2


@pytest.mark.parametrize(
    ("hours", "at", "held"),
    [
        (QuietHours(), "2026-03-06T23:00", True),
        (QuietHours(), "2026-03-06T07:00", False),
        (QuietHours(zone="Europe/Berlin"), "2026-03-06T21:30", True),  # 22:30 there
        (QuietHours(days=frozenset({4})), "2026-03-07T06:59", True),  # the night that began on Friday
        (QuietHours(days=frozenset({4})), "2026-03-07T22:30", False),
        (QuietHours(start_min=0, end_min=0, days=frozenset({5, 6})), "2026-03-08T12:00", True),  # all weekend
        (QuietHours(start_min=0, end_min=0, days=frozenset({5, 6})), "2026-03-09T00:00", False),
        (QuietHours(start_min=720, end_min=780), "2026-03-06T12:59", True),
        (QuietHours(start_min=720, end_min=780), "2026-03-06T13:00", False),
    ],
)
def test_quiet_hours_are_of_their_days_and_their_time_zone(hours: QuietHours, at: str, held: bool) -> None:
    now_s = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    assert hours.holds("warning", now_s) is held
    assert not hours.holds("critical", now_s)


def test_a_warning_is_said_again_as_often_as_is_asked_for_warnings() -> None:
    book = Book()
    book.decided(decision(action=Action.WARN), NOW)
    tell_all(book, NOW + 2)
    again = Telling(repeats=Repeats(warning=600))

    assert due(book, CHAT, again, NOW + 601) == []
    assert [notice.need for notice in due(book, CHAT, again, NOW + 603)] == ["nudge"]
    assert due(book, CHAT, Telling(), NOW + 7_000) == []
