"""After a kill: what is refused and what gets through is counted, and said where the kill is."""

import json

from hypothesis import given
from hypothesis import strategies as st
from incident_life import decision
from signing import ENV, command

from alerts.aftermath import Aftermath, Refusals
from alerts.blocks import blocks
from alerts.decision import Action
from alerts.figures import cost, since
from alerts.gateway.denied import KEPT, LATELY_S, Denied
from alerts.gateway.identity import Answer, Denial
from alerts.gateway.wire import Ack
from alerts.incident import Incident, Outcome
from alerts.incidents import Book
from alerts.message import View

NOW = 1_000.0
KILL = "agent:a@1.1"


def ack(gateway: str, calls: int, at_s: float = NOW) -> Ack:
    denied = {KILL: calls} if calls else {}
    return Ack(gateway=gateway, env=ENV, at=at_s, state="live", offset=1, epoch=1, seq=1, denied=denied)


def killed() -> Book:
    book = Book()
    book.decided(decision(), NOW, Outcome(1, 1), offset=1)
    book.covered("agent:a", (1, 1), "obeyed by 1 of 1", NOW)
    return book


def only(book: Book) -> Incident:
    (incident,) = book.incidents.values()
    return incident


def test_refused_calls_are_summed_over_the_gateways_and_repeats_count_once() -> None:
    refusals = Refusals()
    for each in (ack("gw-1", 4), ack("gw-1", 4), ack("gw-2", 3, NOW + 5), ack("gw-1", 6)):
        refusals.report(each)

    assert refusals.news() == {KILL: Aftermath(refused=9, refused_s=NOW + 5)}
    refusals.report(ack("gw-1", 6, NOW + 9))
    assert refusals.news() == {}, "nothing was refused since"


def test_a_gateway_that_was_started_anew_counts_on() -> None:
    refusals = Refusals()
    refusals.report(ack("gw-1", 40))
    refusals.report(ack("gw-1", 2))

    assert refusals.news()[KILL].refused == 42


def test_a_gateway_names_only_the_commands_that_refused_something_lately_and_forgets_the_oldest() -> None:
    denied = Denied()
    for number in range(KEPT + 5):
        order = command(scope=f"agent:a{number}", seq=number + 1)
        denied.count(Answer(False, Denial.KILLED, order), NOW + number)
    denied.count(Answer(False, Denial.NOT_READY), NOW)
    last = NOW + KEPT + 4

    assert denied.calls == KEPT + 6
    assert denied.lately(last)[f"agent:a{KEPT + 4}@1.{KEPT + 5}"] == 1
    assert len(denied.lately(last)) == 20
    assert denied.lately(last + LATELY_S + 1) == {}


def test_a_message_says_what_it_cost_at_the_kill_and_what_was_seen_since() -> None:
    book = killed()
    assert cost(only(book)).startswith("$10.00/min when it was killed")
    assert since(only(book)) == "Since then: no call seen"

    book.went_on("agent:a", (1, 1), Aftermath(refused=1_204, refused_s=NOW + 60), NOW + 60)
    urgent = only(book).urgent
    book.went_on("agent:a", (1, 1), Aftermath(calls=2, spend_usd=0.3, last_s=NOW + 30), NOW + 61)
    words = since(only(book), lambda at_s: f"{at_s:.0f}")
    assert words == "Since then: 2 calls got through ($0.30), the last at 1030; 1,204 calls refused, the last at 1060"
    assert only(book).urgent > urgent, "money that is spent after a kill doesn't wait"
    assert "2 calls got through" in json.dumps(blocks(View(incident=only(book))))


def test_what_an_older_command_led_to_is_not_told_of_the_newer() -> None:
    book = killed()
    assert book.went_on("agent:a", (1, 0), Aftermath(refused=5), NOW) == set()
    book.went_on("agent:a", (1, 1), Aftermath(refused=5, refused_s=NOW), NOW)
    book.decided(decision(action=Action.RELEASE, at_s=200.0), NOW + 60, Outcome(1, 2), offset=2)
    assert since(only(book)).startswith("While it was stopped: 5 calls refused")
    book.decided(decision(at_s=300.0), NOW + 90, Outcome(1, 3), offset=3)
    assert since(only(book)) == ""


counts = st.builds(
    Aftermath, refused=st.integers(0, 9), refused_s=st.floats(0, 9), calls=st.integers(0, 9),
    spend_usd=st.floats(0, 9), last_s=st.floats(0, 9),
)  # fmt: skip


@given(st.lists(counts, max_size=5))
def test_order_and_repeats_do_not_matter(told: list[Aftermath]) -> None:
    one, other = Aftermath(), Aftermath()
    for each in told:
        one = one.plus(each)
    for each in [*reversed(told), *told]:
        other = other.plus(each)

    assert one == other
