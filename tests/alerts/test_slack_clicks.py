"""A click acts once, for who may, on what is true; anything else changes nothing and is written down."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_slack import FakeSlack
from incident_life import decision
from slack_room import NOW, Room

from alerts.blocks import target_of
from alerts.decision import Action, Decision
from alerts.desk import Office
from alerts.incident import Status
from alerts.passing import tick


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with FakeSlack() as slack:
        yield Room(slack)


async def test_a_release_asks_why_and_then_frees_exactly_the_command_it_was_drawn_for(room: Room) -> None:
    incident = room.command(decision())
    await room.press("release", target_of(incident))
    assert room.decisions == []

    assert await room.submit("a load test") == {}
    (made,) = room.decisions
    assert (made.action, made.reason, made.actor) == (Action.RELEASE, "a load test", "slack:UOPS")
    assert (made.scope, made.releases_seq) == ("agent:a", incident.seq)
    assert [(line.verb, line.outcome) for line in room.audit] == [("release", "accepted")]


@pytest.mark.parametrize("reason", ["", "  ", "x"])
async def test_a_release_without_a_reason_changes_nothing(room: Room, reason: str) -> None:
    incident = room.command(decision())
    await room.press("release", target_of(incident))

    answer = await room.submit(reason)
    assert "reason" in answer["errors"]
    assert room.decisions == []


@pytest.mark.parametrize("user", ["UVIEW", "UNOBODY"])
@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "plan", "release", "keep", "extend", "approve", "deny"])
async def test_an_unauthorised_click_changes_nothing(room: Room, user: str, verb: str) -> None:
    incident = room.command(decision(expires_s=9_000.0))
    before = dict(room.book.incidents)
    await room.press(verb, target_of(incident), user)

    assert (room.decisions, room.book.incidents) == ([], before)
    assert room.slack.modals == []
    assert room.audit[0].outcome.startswith("refused")
    assert room.slack.whispers[0]["user"] == user


async def test_a_dialog_submitted_by_somebody_else_who_may_not_changes_nothing(room: Room) -> None:
    incident = room.command(decision())
    await room.press("release", target_of(incident))

    assert "errors" in await room.submit("let me", "UVIEW")
    assert room.decisions == []


@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "release", "keep", "extend"])
async def test_a_click_on_a_stale_state_changes_nothing(room: Room, verb: str) -> None:
    stale = target_of(room.command(decision(expires_s=9_000.0)))
    room.command(decision(at_s=101.0, detector="loop", expires_s=9_000.0))
    before = dict(room.book.incidents)
    await room.press(verb, stale)

    assert (room.decisions, room.book.incidents, room.slack.modals) == ([], before, [])
    assert "changed since" in room.slack.whispers[0]["text"]


async def test_a_dialog_that_was_open_while_the_command_changed_releases_nothing(room: Room) -> None:
    await room.press("release", target_of(room.command(decision())))
    room.command(decision(at_s=101.0, detector="loop"))

    answer = await room.submit("a load test")
    assert "changed since" in answer["errors"]["reason"]
    assert room.decisions == []


async def test_two_people_can_not_release_twice(room: Room) -> None:
    target = target_of(room.command(decision()))
    await room.press("release", target)
    await room.press("release", target, "UBOSS")
    answers = await asyncio.gather(room.submit("mine"), room.submit("mine too", "UBOSS"))

    assert len(room.decisions) == 1
    assert sum("errors" in answer for answer in answers) == 1

    room.carry_out()
    room.now_s += 60
    assert "changed since" in (await room.submit("late"))["errors"]["reason"]


async def test_an_acknowledgement_is_taken_once_and_says_who(room: Room) -> None:
    incident = room.command(decision())
    await room.press("acknowledge", target_of(incident))
    room.now_s += 60
    await room.press("acknowledge", target_of(incident), "UBOSS")

    now = room.book.incidents[incident.id]
    assert (now.status, now.status_by) == (Status.ACKNOWLEDGED, "slack:UOPS")
    assert "acknowledged by slack:UOPS" in room.slack.whispers[0]["text"]


async def test_what_is_planned_is_released_too(room: Room) -> None:
    incident = room.command(decision())
    await room.press("plan", target_of(incident))
    await room.submit("nightly load test")
    room.carry_out()

    now = room.book.incidents[incident.id]
    assert (now.status, now.in_force) == (Status.PLANNED, "")
    assert room.decisions[0].reason == "planned: nightly load test"


async def test_extending_a_kill_is_a_new_command_of_the_same_incident(room: Room) -> None:
    incident = room.command(decision(expires_s=NOW + 600))
    await room.press("extend", target_of(incident))
    room.carry_out()

    now = room.book.incidents[incident.id]
    assert len(room.book.incidents) == 1
    assert (now.seq, now.expires_s) == (2, NOW + 600 + 3_600)


async def test_a_kept_kill_has_no_end(room: Room) -> None:
    incident = room.command(decision(expires_s=NOW + 600))
    await room.press("keep", target_of(incident))
    room.carry_out()

    assert room.book.incidents[incident.id].expires_s is None


async def test_a_hold_is_approved_with_a_reason_or_denied(room: Room) -> None:
    held = room.command(decision(action=Action.HOLD))
    await room.press("deny", target_of(held))
    other = room.command(decision("b", Action.HOLD))
    await room.press("approve", target_of(other))
    await room.submit("it is fine")

    assert [(made.scope, made.action) for made in room.decisions] == [
        ("agent:a", Action.KILL),
        ("agent:b", Action.RELEASE),
    ]


async def test_releasing_a_group_releases_each_member_by_its_own_command(room: Room) -> None:
    for name in "xyz":
        room.command(decision(name, team="data"))
    tick(room.book, NOW + 1)
    (group,) = [incident for incident in room.book.incidents.values() if incident.kind == "group"]
    await room.press("release", target_of(group, room.book.members(group.id)))
    await room.submit("the deploy was planned")

    assert {(made.scope, made.releases_seq) for made in room.decisions} == {
        ("agent:x", 1),
        ("agent:y", 2),
        ("agent:z", 3),
    }


async def test_only_an_admin_releases_everything(room: Room) -> None:
    target = target_of(room.command(decision("global:all")))
    await room.press("release", target)
    assert room.slack.modals == []

    await room.press("release", target, "UBOSS")
    assert len(room.slack.modals) == 1


async def test_members_of_a_user_group_may_act_and_outsiders_may_not(room: Room) -> None:
    room.slack.groups["S1"] = ["UGROUP"]
    incident = room.command(decision())
    await room.press("snooze", target_of(incident), "UGROUP")

    assert room.book.incidents[incident.id].status is Status.SNOOZED
    assert room.slack.calls.count("usergroups.users.list") == 1


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "block_actions"},
        {"type": "block_actions", "user": {"id": "UOPS"}, "actions": [{"action_id": "brakeline.rm", "value": "{}"}]},
        {
            "type": "block_actions",
            "user": {"id": "UOPS"},
            "actions": [{"action_id": "brakeline.release", "value": "x"}],
        },
        {"type": "view_submission", "user": {"id": "UOPS"}, "view": {"callback_id": "other"}},
        {"type": "view_submission", "user": 1, "view": {"callback_id": "brakeline.reason", "private_metadata": "{}"}},
    ],
)
async def test_what_is_not_a_click_of_ours_is_ignored(room: Room, payload: dict[str, Any]) -> None:
    assert await room.desk.handle(payload) == {}
    assert room.audit == []


async def test_a_failing_decision_is_told_and_may_be_tried_again(room: Room) -> None:
    incident = room.command(decision())
    await room.press("release", target_of(incident))

    async def broken(made: Decision) -> None:
        raise ConnectionError("no broker")

    good = room.desk._office
    room.desk._office = Office(good.lookup, broken, good.act, good.audit, good.role_of)
    assert "did not work" in (await room.submit("a load test"))["errors"]["reason"]

    room.desk._office = good
    assert await room.submit("a load test") == {}
    assert len(room.decisions) == 1
