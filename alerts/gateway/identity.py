"""Who is calling, and what a gateway answers; no state."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs

from .accounts import Ticket
from .wire import Command, State

CHARS_MAX = 512
"""Of any name; what is longer is cut."""
PARENTS_MAX, PARENTS_IN_HEADER_MAX = 63, 32


class Identity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who makes a call.

    `agent` and `team` are what the gateway has authenticated (the key's alias, its team). What the caller says
    of itself goes into the other fields: it can add a reason to refuse, never take one away.
    """

    agent: str = ""
    team: str = ""
    claimed_agent: str = ""
    claimed_team: str = ""
    workflow: str = ""
    run: str = ""
    parents: tuple[str, ...] = ()
    """Runs above `run`, nearest first, as far as the caller knows."""
    model: str = ""

    def __post_init__(self) -> None:
        said = (self.agent, self.team, self.claimed_agent, self.claimed_team, self.workflow, self.run, self.model)
        names = "".join((*said, *self.parents))
        if not names.isascii() or len(names) > CHARS_MAX or len(self.parents) > PARENTS_MAX:
            for field in self.__struct_fields__:
                structs.force_setattr(self, field, _bearable(getattr(self, field)))


def _bearable(said: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return names that can be kept, reported and saved: whole characters, and of many parents also the topmost."""
    if isinstance(said, str):
        return said[:CHARS_MAX].encode("utf-8", "replace").decode()
    return tuple([each[:CHARS_MAX].encode("utf-8", "replace").decode() for each in _ends(said, PARENTS_MAX)])


def parents_of(text: str) -> tuple[str, ...]:
    """Read the runs above one from a header: ids, nearest first, separated by commas.

    >>> parents_of("mine, root")
    ('mine', 'root')
    """
    return _ends([part.strip() for part in text.split(",") if part.strip()], PARENTS_IN_HEADER_MAX)


def _ends(parents: Sequence[str], most: int) -> tuple[str, ...]:
    """Return the nearest, and the topmost, whose kill covers all."""
    return tuple(parents) if len(parents) <= most else (*parents[: most - 1], parents[-1])


class Denial(StrEnum):
    """Why a call is refused; the `type` and `code` of the body."""

    KILLED = "agent_killed"
    HELD = "agent_held"
    THROTTLED = "agent_throttled"
    CEILING = "limit_reached"
    APPROVAL = "approval_needed"
    DENIED = "approval_denied"
    STALE = "gateway_stale"
    NOT_READY = "gateway_not_ready"


class Answer(Struct, frozen=True, gc=False):
    """What becomes of a call. `model` is set when a cheaper one must be used, by `models` for any other name.

    `ticket` is what the call has reserved, to be settled. `scope` and `until_s` are of a refusal without a command.
    `approval` is the id of the request that a refused call waits for.
    """

    allowed: bool
    denial: Denial | None = None
    command: Command | None = None
    reason: str = ""
    model: str = ""
    models: dict[str, str] = {}
    retry_after_s: float = 0.0
    ticket: Ticket | None = None
    scope: str = ""
    until_s: float | None = None
    approval: str = ""


ALLOWED = Answer(True)
DENIALS = {State.KILLED: Denial.KILLED, State.HELD: Denial.HELD, State.THROTTLED: Denial.THROTTLED}
_WORDS = {
    Denial.KILLED: "is stopped",
    Denial.HELD: "is on hold until a person decides",
    Denial.THROTTLED: "is limited to fewer calls",
}


def cheaper(models: dict[str, str], model: str) -> str:
    """Return the model to use instead of `model`; empty to leave it.

    >>> cheaper({"large": "small", "*": "tiny"}, "large"), cheaper({"large": "small"}, "small")
    ('small', '')
    """
    return models.get(model) or models.get("*", "")


def denial_body(answer: Answer, release_url: str = "") -> bytes:
    """Return the JSON body of a refusal; `until` is Unix seconds or null."""
    assert answer.denial is not None
    command = answer.command
    until = answer.until_s
    if command is not None:
        until = None if command.ends_s == float("inf") else command.ends_s
    error: dict[str, Any] = {
        "type": answer.denial,
        "code": answer.denial,
        "message": denial_message(answer),
        "scope": command.scope if command else answer.scope or None,
        "reason": answer.reason,
        "kill_id": command.kill_id if command else None,
        "until": until,
        "release_url": release_link(release_url, command) if command else None,
    }
    if answer.approval:
        error |= {"approval_id": answer.approval, "release_url": _approval_link(release_url, answer)}
    return msgspec.json.encode({"error": error})


def denial_message(answer: Answer) -> str:
    """Say in a sentence who is refused and why."""
    if answer.approval:
        return f"Refused by Brakeline: {answer.reason} (approval {answer.approval})"
    if answer.command is None or answer.denial not in _WORDS:
        return f"Refused by Brakeline: {answer.reason}"
    return f"Refused by Brakeline: {answer.command.scope} {_WORDS[answer.denial]}: {answer.reason}"


def release_link(template: str, command: Command) -> str | None:
    """Fill `{scope}`, `{seq}` and `{incident}` into the operator's link; None without one."""
    if not template:
        return None
    filled = template.replace("{scope}", quote(command.scope, safe="")).replace("{seq}", str(command.seq))
    return filled.replace("{incident}", quote(command.incident_id, safe=""))


def _approval_link(template: str, answer: Answer) -> str | None:
    """Fill the operator's link also before the service has opened the request's incident."""
    if answer.command is not None or not template:
        return release_link(template, answer.command) if answer.command else None
    filled = template.replace("{scope}", quote(answer.scope, safe=""))
    return filled.replace("{seq}", "").replace("{incident}", "")


def denial_headers(answer: Answer) -> dict[str, str]:
    """Return a refusal's headers: no SDK retries it, and a log can find the command."""
    headers = {"x-should-retry": "false", "content-type": "application/json", "cache-control": "no-store"}
    if answer.denial is not None:
        headers["x-brakeline-denial"] = str(answer.denial)
    if answer.retry_after_s:
        headers["retry-after"] = str(int(answer.retry_after_s) + 1)
    if answer.approval:
        headers["x-brakeline-approval-id"] = answer.approval
    if answer.command is not None:
        headers["x-brakeline-kill-id"] = quote(answer.command.kill_id, safe=":/@")
        headers["x-brakeline-scope"] = quote(answer.command.scope, safe=":/@")
    return headers
