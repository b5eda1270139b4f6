"""A kill that is not obeyed has an incident of its own, which says by whom."""

from typing import Any

import pytest
from incident_life import decision
from msgspec import DecodeError, json
from signing import command

from alerts.blocks import blocks
from alerts.coverage import Coverage, Order
from alerts.decision import Action, Decision
from alerts.gateway.wire import Ack, Command, State, encode_ack
from alerts.incident import Outcome, severity
from alerts.incidents import Book
from alerts.message import View, headline, plain
from alerts.obedience import Disobedience, decode_disobedience, not_obeyed
from alerts.passing import tick

KILL = command("agent:a", issued_at=43_400.0)


def seen(**fields: Any) -> Disobedience:
    usual = {"scope": "agent:a", "calls": 3, "new_calls": 3, "last_began_s": 43_460.0, "at_s": 43_461.0, "team": "t"}
    return Disobedience(**{**usual, **fields})


def fleet(*obeying: str, stale: str = "") -> Coverage:
    coverage = Coverage()
    for name in (*obeying, *filter(None, [stale])):
        coverage.report(ack(name, 43_380.0, 4))
    coverage.watch(KILL.kill_id, Order(5, 43_400.0))
    for name in obeying:
        coverage.report(ack(name, 43_400.2, 5))
        coverage.report(ack(name, 43_460.0, 5))
    return coverage


def ack(gateway: str, at: float, offset: int) -> Ack:
    return Ack(gateway=gateway, env="test", at=at, state="live", offset=offset, epoch=1, seq=1)


def warning(coverage: Coverage, held: Command | None = KILL, **fields: Any) -> Decision | None:
    return not_obeyed(seen(**fields), held, coverage, 43_461.0)


def reason(coverage: Coverage, **fields: Any) -> str:
    made = warning(coverage, **fields)
    assert made is not None
    return made.reason


def test_the_gateway_that_the_events_name_is_named_with_what_is_known_of_it() -> None:
    coverage = fleet("gw-1", stale="gw-2")
    assert reason(coverage, gateways=("gw-2",)).startswith(
        "kill not obeyed by gw-2 stale since 12:03 UTC: 3 calls began"
    )
    assert reason(coverage, gateways=("gw-1",)).startswith(
        "kill not obeyed by gw-1: 3 calls began after it (12:03 UTC)"
    )


def test_without_such_a_name_it_is_whoever_has_not_reported_to_obey() -> None:
    assert reason(fleet("gw-1", stale="gw-2")).startswith("kill not obeyed by gw-2 stale since 12:03 UTC: ")


def test_if_all_say_that_they_obey_the_calls_go_around_them() -> None:
    expected = "kill not obeyed, though obeyed by 2 of 2 in 200 ms: the calls go around the gateways: 3 calls"
    assert reason(fleet("gw-1", "gw-2")).startswith(expected)
    assert reason(Coverage(), calls=1).startswith("kill not obeyed, and no gateway has reported: 1 call began")


@pytest.mark.parametrize(
    "held",
    [
        None,
        command("agent:a", State.RELEASED, issued_at=43_400.0),
        command("agent:a", State.THROTTLED, issued_at=43_400.0),
        command("agent:a", issued_at=43_400.0, expires_at=43_450.0),
        command("agent:a", issued_at=43_455.0),
    ],
    ids=["never ordered", "released", "throttled", "lapsed", "in flight at the kill"],
)
def test_what_was_allowed_is_no_disobedience(held: Command | None) -> None:
    assert warning(fleet("gw-1"), held) is None


def test_it_is_an_incident_of_its_own_that_pages_and_settles_by_itself() -> None:
    book = Book()
    book.decided(decision("a", team="t"), 43_400.0, Outcome(1, 1), offset=1)
    for calls in (3, 40):
        made = warning(fleet("gw-1", stale="gw-2"), calls=calls)
        assert made is not None
        book.decided(made, 43_461.0)
    tick(book, 43_470.0)

    kill, disobeyed = sorted(book.incidents.values(), key=lambda each: each.opened_s)
    assert (kill.action, disobeyed.scope) == (Action.KILL, "obedience:agent:a")
    assert severity(disobeyed) == "critical"
    assert disobeyed.evidence.calls == 40
    view = View(incident=disobeyed)
    assert headline(view) == "NOT OBEYED: kill of agent a"
    assert "40 calls began after it" in plain(view)
    assert "revoke the agent's key" in plain(view)
    assert "Mark planned" not in str(blocks(view)) and "Release" not in str(blocks(view))

    tick(book, 43_461.0 + 900.0)
    assert headline(View(incident=book.incidents[disobeyed.id])) == "RESOLVED: kill of agent a"


def test_no_group_and_no_wider_kill_speaks_for_it() -> None:
    book = Book()
    book.decided(decision("team:t", Action.KILL), 43_400.0, Outcome(1, 1))
    book.decided(decision("global:all", Action.KILL), 43_400.0, Outcome(1, 1))
    for name in "bcd":
        book.decided(decision(name, team="t"), 43_460.0, Outcome(1, 1))
    made = warning(fleet("gw-1"))
    assert made is not None
    book.decided(made, 43_461.0)
    tick(book, 43_470.0)

    found = book.find(made.incident_id)
    assert found is not None
    assert found.parent == ""


def test_it_travels_beside_acks_and_is_not_mistaken_for_one() -> None:
    assert decode_disobedience(json.encode(seen(gateways=("gw-2",)))) == seen(gateways=("gw-2",))
    with pytest.raises(DecodeError):
        decode_disobedience(encode_ack(ack("gw-1", 1.0, 1)))
