"""Where clicks arrive: authorised, checked against what is true now, audited, and then acted on once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from alerts.clicks import NEEDS_REASON, REASON_BLOCK, REASON_MIN, Click, Role, orders, read, reason_modal, refusal
from alerts.decision import Decision
from alerts.incident import Act, Incident
from alerts.markup import escape
from alerts.message import View, headline
from alerts.sink import SinkError

ANSWER_S = 2.0
PENDING_MAX = 1_000
PENDING_S = 30.0

log = logging.getLogger(__name__)


class Audited(Struct, frozen=True, kw_only=True):
    """One line of the audit: who asked for what, and what was answered."""

    at_s: float
    actor: str
    verb: str
    incident_id: str
    scope: str
    reason: str = ""
    outcome: str = "accepted"
    via: str = "slack"


class Talk(Protocol):
    """What the desk needs of Slack."""

    async def open_modal(self, trigger_id: str, modal: Mapping[str, Any]) -> None:
        """Open a dialog."""

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Tell one person something."""

    async def group_members(self, usergroup: str) -> frozenset[str]:
        """Return the users of a group."""


class NotReadyError(Exception):
    """Whether a click may act can't be told yet; the text is for who clicked."""


class Office(Struct, frozen=True):
    """Whom the desk asks and tells. `decide` returns when the decision is durable, `audit` when its line is.

    `lookup` may raise NotReadyError.
    """

    lookup: Callable[[str], tuple[Incident, Sequence[Incident]] | None]
    decide: Callable[[Decision], Awaitable[None]]
    act: Callable[[Act], Awaitable[bool]]
    audit: Callable[[Audited], Awaitable[None]]
    role_of: Callable[[str], Awaitable[Role | None]]


class Desk:
    """Handles interactions of Slack, by Socket Mode or by signed HTTP, and those of the page (`talk` is None)."""

    def __init__(self, office: Office, talk: Talk | None, now_s: Callable[[], float] = time.time) -> None:
        self._office = office
        self._talk = talk
        self._now_s = now_s
        self._pending: dict[tuple[str, int, int, str], float] = {}
        self._tasks: set[asyncio.Task[str]] = set()

    async def handle(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an interaction well within Slack's 3 s; what takes longer goes on and is told in private."""
        click = read(payload)
        if click is None:
            return {}
        task = asyncio.create_task(self._attend(click))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if click.trigger_id:
            return {}
        done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
        refused = task.result() if done else ""
        return {"response_action": "errors", "errors": {REASON_BLOCK: escape(refused, 500)}} if refused else {}

    async def press(self, click: Click, role: Role | None) -> str:
        """Act on a click of somebody whose role is known; return why not, or an empty string once it is durable."""
        return await self._attend(click, role)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, click: Click, role: Role | None = None) -> str:
        """Act on a click; return why not, or an empty string."""
        try:
            refused = await self._acted(click, role or await self._office.role_of(click.user))
        except NotReadyError as error:
            refused = str(error)
        except Exception as error:
            log.exception("A click could not be carried out")
            refused = f"It did not work ({type(error).__name__}): try again, or use brakeline release."
            self._pending.pop(_key(click), None)
        if refused and click.trigger_id and click.channel:
            await self._whisper(click, refused)
        return refused

    async def _acted(self, click: Click, role: Role | None) -> str:
        incident, members = self._office.lookup(click.target.incident) or (None, ())
        refused = refusal(click, role, incident, members)
        if not refused and click.verb in NEEDS_REASON and not click.trigger_id and len(click.reason) < REASON_MIN:
            refused = "A reason is needed."
        if incident is None or refused:
            await self._audit(click, incident, f"refused: {refused}")
            return refused
        if click.verb in NEEDS_REASON and click.trigger_id and self._talk is not None:
            modal = reason_modal(click, headline(View(incident=incident, members=tuple(members))))
            await self._talk.open_modal(click.trigger_id, modal)
            return ""
        if not self._claim(click):
            await self._audit(click, incident, "refused: asked for already")
            return "Somebody has just asked for this."
        await self._audit(click, incident, "accepted")
        made = orders(click, incident, members, self._now_s())
        for decision in made.decisions:
            await self._office.decide(decision)
        if made.act is not None:
            await self._office.act(made.act)
        return ""

    def _claim(self, click: Click) -> bool:
        """Let one click act on one state: the state changes only when the command is written."""
        now_s = self._now_s()
        self._pending = {key: at_s for key, at_s in self._pending.items() if now_s - at_s < PENDING_S}
        if _key(click) in self._pending or len(self._pending) >= PENDING_MAX:
            return False
        self._pending[_key(click)] = now_s
        return True

    async def _audit(self, click: Click, incident: Incident | None, outcome: str) -> None:
        line = Audited(
            at_s=self._now_s(),
            actor=click.actor,
            verb=click.verb,
            incident_id=click.target.incident[:64],
            scope=incident.scope if incident else "",
            reason=click.reason,
            outcome=outcome,
            via=click.via,
        )
        await self._office.audit(line)

    async def _whisper(self, click: Click, text: str) -> None:
        try:
            if self._talk is not None:
                await self._talk.whisper(click.channel, click.user, text)
        except SinkError as error:
            log.warning("%s could not be told %r: %s", click.actor, text, error)


def _key(click: Click) -> tuple[str, int, int, str]:
    kind = click.verb if click.verb in {"acknowledge", "snooze"} else "command"
    return (click.target.incident, click.target.epoch, click.target.seq, kind)
