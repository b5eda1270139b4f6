"""What is one event is one message: a team's, a storm's, or a part of what is known already."""

import pytest
from incident_life import decision

from alerts.decision import Action
from alerts.grouping import Grouping
from alerts.incident import CHAT, Outcome
from alerts.incidents import Book, Rules
from alerts.notices import Telling, due
from alerts.passing import tick

NOW = 1_000.0


def test_a_team_kill_silences_its_agents() -> None:
    book = Book()
    book.decided(decision("team:data", team="data"), NOW, Outcome(1, 1))
    book.decided(decision("x", team="data"), NOW + 300, Outcome(1, 1))
    tick(book, NOW + 301)

    assert [notice.incident for notice in due(book, CHAT, Telling(), NOW + 310)] == [book.current("team:data").id]  # type: ignore[union-attr]
    assert book.members(book.current("team:data").id) == [book.current("agent:x")]  # type: ignore[union-attr]


def test_agents_speak_for_themselves_when_their_teams_incident_closes() -> None:
    book = Book()
    book.decided(decision("team:data", team="data"), NOW, Outcome(1, 1))
    book.decided(decision("x", team="data"), NOW, Outcome(1, 1))
    tick(book, NOW + 1)
    book.decided(decision("team:data", Action.RELEASE, 200.0), NOW + 2, Outcome(1, 2))
    tick(book, NOW + 3)

    assert book.current("agent:x").parent == ""  # type: ignore[union-attr]


def test_forty_agents_of_a_team_are_one_message() -> None:
    book = Book()
    for number in range(40):
        book.decided(decision(f"a{number}", team="data"), NOW + number / 100, Outcome(1, number + 1))
        tick(book, NOW + number / 100)

    (notice,) = due(book, CHAT, Telling(), NOW + 2)
    group = book.incidents[notice.incident]
    assert (group.kind, len(book.members(group.id))) == ("group", 40)
    assert group.evidence.seen_usd_per_min == pytest.approx(400.0)


def test_a_team_event_closes_with_its_last_member() -> None:
    book = Book()
    for number in range(3):
        book.decided(decision(f"a{number}", team="data"), NOW, Outcome(1, number + 1))
    tick(book, NOW + 1)
    for number in range(3):
        assert any(i.kind == "group" and i.active for i in book.incidents.values())
        book.decided(decision(f"a{number}", Action.RELEASE, 200.0), NOW + 2, Outcome(1, number + 11))
        tick(book, NOW + 3)

    assert not any(incident.active for incident in book.incidents.values())


def test_shadow_and_armed_incidents_are_not_mixed() -> None:
    book = Book()
    for number in range(4):
        book.decided(decision(f"a{number}", team="data", shadow=number % 2 == 0), NOW, Outcome(1, number + 1))
    tick(book, NOW + 1)

    assert {incident.kind for incident in book.incidents.values()} == {"single"}


def test_five_hundred_incidents_are_one_digest() -> None:
    book = Book()
    for number in range(500):
        book.decided(decision(f"a{number}", team=f"t{number % 50}"), NOW + number / 1000, Outcome(1, number + 1))
    tick(book, NOW + 1)

    (notice,) = due(book, CHAT, Telling(), NOW + 2)
    assert book.incidents[notice.incident].kind == "digest"
    assert len(book.members(notice.incident)) == 500


def test_few_incidents_of_different_teams_are_told_one_by_one() -> None:
    book = Book(Rules(grouping=Grouping(storm_min=20)))
    for number in range(19):
        book.decided(decision(f"a{number}", team=f"t{number}"), NOW)
    tick(book, NOW + 1)

    assert len(due(book, CHAT, Telling(), NOW + 2)) == 19


def test_a_storm_beyond_the_bound_keeps_who_speaks_for_it() -> None:
    book = Book(Rules(incidents_max=100))
    for number in range(300):
        book.decided(decision(f"a{number}", team=f"t{number}"), NOW, Outcome(1, number + 1))
    tick(book, NOW + 1)

    (notice,) = due(book, CHAT, Telling(), NOW + 2)
    assert (book.incidents[notice.incident].kind, len(book.incidents)) == ("digest", 100)
