"""A request for approval as the service sees it: asked once, decided by who may, used up everywhere."""

from typing import Any

import pytest
from fake_slack import FakeSlack
from msgspec.structs import replace
from signing import ENV, KEYS
from slack_room import Room

from alerts.approving import asks, used_up
from alerts.blocks import blocks, target_of
from alerts.commands import Ordered, Orders, RefusedError
from alerts.decision import Action, Decision
from alerts.gateway.asking import Asked, Request, Spent
from alerts.gateway.limits import Gate
from alerts.gateway.wire import Command, State
from alerts.incident import CHAT, Incident, Outcome
from alerts.incidents import Book
from alerts.message import View, headline, plain
from alerts.notices import Telling, due
from alerts.observed import as_decision
from alerts.passing import tick

ASKED = Asked(gate="dear", agent="agent:coder", team="team:lab", run="r1")
REQUEST = Request(env=ENV, gateway="gw-1", asked=ASKED, model="opus-4", estimate_micro_usd=4_200_000)
GATE = Gate(name="dear", models=("opus*",), open_s=600.0, approvers=("slack:UOPS", "user:*"))
NOW = 1_000.0


class Desk:
    """Orders that are carried out as soon as they are given."""

    def __init__(self) -> None:
        self.orders = Orders(ENV, "w", KEYS)
        self.orders.take_over()

    @property
    def held(self) -> Command:
        found = self.orders.held(ASKED.scope)
        assert found is not None
        return found

    def give(self, made: Decision | None, now_s: float = NOW) -> Ordered | None:
        ordered = None if made is None else self.orders.order(made, now_s)
        if ordered is not None:
            self.orders.confirm(ordered, now_s)
        return ordered

    def ask(self, now_s: float = NOW, seen: tuple[int, int] = (0, 0)) -> Decision | None:
        return asks(replace(REQUEST, seen=seen), GATE, self.orders.held(ASKED.scope), now_s)

    def asked(self) -> "Desk":
        assert self.give(self.ask()) is not None
        return self


def person(action: Action, actor: str = "user:ann", **fields: Any) -> Decision:
    return Decision(
        at_s=NOW + 1, scope=ASKED.scope, action=action, reason="r", incident_id="p", actor=actor, **fields
    )  # fmt: skip


def test_a_request_is_held_for_as_long_as_its_gate_says() -> None:
    command = Desk().asked().held

    assert (command.state, command.expires_at, command.asked) == (State.HELD, NOW + 600, ASKED)
    assert "gate dear: agent coder asks for a call of opus-4, about $4.20 at most" in command.reason


def test_the_same_request_by_another_gateway_changes_nothing() -> None:
    desk = Desk().asked()

    assert desk.ask(NOW + 1) is None, "it doesn't know yet that it is held"
    assert desk.give(desk.ask(NOW + 1, desk.held.order), NOW + 1) is None


def test_a_request_by_a_gateway_that_has_not_heard_of_the_approval_does_not_take_it_back() -> None:
    desk = Desk().asked()
    before = desk.held.order
    desk.give(person(Action.RELEASE, use="once"), NOW + 1)

    assert desk.ask(NOW + 2, before) is None
    assert desk.give(desk.ask(NOW + 2, desk.held.order), NOW + 2) is not None, "who knows of it has used it up"


@pytest.mark.parametrize(("use", "lasts_s"), [("once", 900.0), ("run", 86_400.0), ("span", 3_600.0)])
def test_an_approval_is_signed_for_its_use_and_ends(use: Any, lasts_s: float) -> None:
    desk = Desk().asked()
    desk.give(person(Action.RELEASE, use=use), NOW + 1)

    held = desk.held
    assert (held.state, held.use, held.asked) == (State.RELEASED, use, ASKED)
    assert held.expires_at == NOW + 1 + lasts_s


def test_what_is_used_up_at_one_gateway_is_taken_back_from_all_and_asked_anew() -> None:
    desk = Desk().asked()
    desk.give(person(Action.RELEASE, use="once"), NOW + 1)
    spent = Spent(env=ENV, gateway="gw-1", scope=ASKED.scope, order=desk.held.order)

    desk.give(used_up(spent, desk.held, NOW + 2), NOW + 2)

    assert (desk.held.state, desk.held.in_force(NOW + 2)) == (State.HELD, False)
    assert used_up(spent, desk.held, NOW + 3) is None
    assert desk.give(desk.ask(NOW + 4, spent.order), NOW + 4) is not None, "asked before it heard of being taken back"


@pytest.mark.parametrize(
    ("made", "now_s", "said"),
    [
        (person(Action.RELEASE, use="once"), NOW + 601, "not open any more"),
        (person(Action.RELEASE, "slack:UELSE", use="once"), NOW, "may not be decided by slack:UELSE"),
        (person(Action.KILL, "page:eve"), NOW, "may not be decided by page:eve"),
        (replace(person(Action.KILL), scope="approval:nosuch"), NOW, "no gateway has asked for that"),
        (replace(person(Action.RELEASE, use="span"), scope="agent:a"), NOW, "only a request for approval can"),
    ],
)
def test_what_may_not_be_decided_is_refused_with_the_reason(made: Decision, now_s: float, said: str) -> None:
    desk = Desk().asked()
    with pytest.raises(RefusedError, match=said):
        desk.give(made, now_s)


def test_a_call_without_a_run_can_not_be_approved_for_one() -> None:
    desk = Desk()
    asked = replace(ASKED, run="")
    desk.give(asks(replace(REQUEST, asked=asked), GATE, None, NOW))
    with pytest.raises(RefusedError, match="without a run"):
        desk.give(replace(person(Action.RELEASE, use="run"), scope=asked.scope), NOW + 1)


def test_who_may_decide_is_remembered_after_a_denial() -> None:
    desk = Desk().asked()
    desk.give(person(Action.KILL), NOW + 1)
    with pytest.raises(RefusedError, match="may not be decided"):
        desk.give(person(Action.RELEASE, "slack:UELSE", use="once"), NOW + 2)


def test_an_incident_that_is_restored_from_the_topic_still_says_what_is_asked() -> None:
    decision, outcome = as_decision(Desk().asked().held)
    book = Book()
    (name,) = book.observed(decision, outcome, NOW)

    incident = book.incidents[name]
    assert incident.asked == ASKED
    assert incident.evidence.approvers == GATE.approvers


def incident_of(asked: Asked = ASKED) -> Incident:
    book = Book()
    decision = asks(replace(REQUEST, asked=asked), GATE, None, NOW)
    assert decision is not None
    (name,) = book.decided(decision, NOW, Outcome(1, 1, NOW + 600))
    return book.incidents[name]


def offered(incident: Incident) -> list[str]:
    laid = blocks(View(incident=incident))
    return [e["action_id"] for b in laid if b["type"] == "actions" for e in b["elements"]]


def test_the_message_says_what_it_costs_and_offers_every_answer() -> None:
    incident = incident_of()

    assert headline(View(incident=incident)) == "APPROVAL NEEDED: agent coder at gate dear"
    assert "about $4.20 at most for this call" in plain(View(incident=incident))
    assert {"brakeline.once", "brakeline.run", "brakeline.span", "brakeline.deny"} <= set(offered(incident))
    assert not {"brakeline.plan", "brakeline.approve"} & set(offered(incident))
    assert "brakeline.run" not in offered(incident_of(replace(ASKED, run="")))


@pytest.mark.parametrize(
    ("user", "decides"), [("UOPS", True), ("UBOSS", False), ("UVIEW", False), ("UNOBODY", False)]
)  # fmt: skip
async def test_only_who_the_gate_names_decides_in_slack(user: str, decides: bool) -> None:
    async with FakeSlack() as slack:
        room = Room(slack)
        decision = asks(REQUEST, GATE, None, NOW)
        assert decision is not None
        incident = room.command(decision)
        await room.press("once", target_of(incident), user)

        assert len(slack.modals) == decides
        if not decides:
            assert room.audit[-1].outcome.startswith("refused")
            return
        await room.submit("go on", user)
        (made,) = room.decisions
        assert (made.action, made.use, made.scope) == (Action.RELEASE, "once", ASKED.scope)
        room.command(made)
        found = room.book.find(incident.id)
        assert found is not None
        assert headline(View(incident=found)) == "APPROVED: agent coder at gate dear"


def test_every_request_has_a_message_of_its_own_and_pages_nobody() -> None:
    book = Book()
    for number in range(30):
        made = asks(replace(REQUEST, asked=replace(ASKED, run=f"r{number}")), GATE, None, NOW)
        assert made is not None
        book.decided(made, NOW, Outcome(1, 1, NOW + 600))
    tick(book, NOW + 1)

    assert len(due(book, CHAT, Telling(), NOW + 5)) == 30
    assert due(book, "pagerduty", Telling(least="critical"), NOW + 5) == []
