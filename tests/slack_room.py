"""A desk in front of a fake Slack, with people of every role, and the clicks they make."""

import json
from collections.abc import Mapping
from typing import Any

from fake_slack import FakeSlack

from alerts.blocks import Target
from alerts.clicks import Role
from alerts.decision import Decision
from alerts.desk import Audited, Desk, Office
from alerts.incident import Act, Incident, Outcome
from alerts.incidents import Book
from alerts.roles import Roles
from alerts.slack import Slack

NOW = 1_000.0
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
USERS: Mapping[str, Role] = {"UOPS": "operator", "UBOSS": "admin", "UVIEW": "viewer"}


class Room:
    """A desk with its book; decisions are carried out as a commander would."""

    def __init__(self, slack: FakeSlack) -> None:
        self.book = Book()
        self.now_s = NOW
        self.seq = 0
        self.decisions: list[Decision] = []
        self.audit: list[Audited] = []
        self.slack = slack
        self.talk = Slack("xoxb-1", "C1", base_url=slack.base_url)
        roles = Roles({**USERS, "S1": "operator"}, self.talk.group_members, lambda: self.now_s)
        self.desk = Desk(
            Office(self.lookup, self.decide, self.act, self.note, roles.role_of), self.talk, lambda: self.now_s
        )

    def lookup(self, name: str) -> tuple[Incident, list[Incident]] | None:
        found = self.book.find(name)
        return (found, self.book.members(found.id)) if found else None

    async def decide(self, made: Decision) -> None:
        self.decisions.append(made)

    def carry_out(self) -> None:
        for made in self.decisions:
            self.command(made)

    def command(self, made: Decision) -> Incident:
        self.seq += 1
        self.book.decided(made, self.now_s, Outcome(1, self.seq), offset=self.seq)
        found = self.book.find(made.incident_id)
        assert found is not None
        return found

    async def act(self, act: Act) -> bool:
        return bool(self.book.acted(act, self.now_s))

    async def note(self, line: Audited) -> None:
        self.audit.append(line)

    async def press(self, verb: str, target: Target, user: str = "UOPS") -> None:
        await self.desk.handle(pressed(verb, target, user))
        await self.desk.close()

    async def submit(self, reason: str, user: str = "UOPS") -> dict[str, Any]:
        return await self.desk.handle(submitted(self.slack.modals[-1], reason, user))


def pressed(verb: str, target: Target, user: str = "UOPS") -> dict[str, Any]:
    value = json.dumps({"i": target.incident, "e": target.epoch, "s": target.seq})
    return {
        "type": "block_actions",
        "user": {"id": user},
        "trigger_id": "t1",
        "channel": {"id": "C1"},
        "actions": [{"action_id": f"brakeline.{verb}", "value": value}],
    }


def submitted(modal: dict[str, Any], reason: str, user: str = "UOPS") -> dict[str, Any]:
    state = {"values": {"reason": {"reason": {"value": reason}}}}
    view = {"callback_id": modal["callback_id"], "private_metadata": modal["private_metadata"], "state": state}
    return {"type": "view_submission", "user": {"id": user}, "view": view}
