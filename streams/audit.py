"""The audit: one line for each thing that a person (or a changed file) did, kept for a year."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import DecodeError, Struct, json, to_builtins

from alerts.decision import Action, Decision
from alerts.desk import Audited
from alerts.gateway.asking import APPROVAL
from streams.following import follow
from streams.outlet import Message, Outlet
from streams.settings import Settings

REASON_MAX = 4_000
_lines = json.Decoder(Audited)


async def note(outlet: Outlet, topic: str, line: Audited) -> None:
    """Write a line; returns when it is acknowledged. Raises UndeliveredError."""
    await outlet.send([Message(topic, line.scope.encode(), json.encode(line))])


def of_settings(file: str, changes: Sequence[str], now_s: float) -> Audited:
    """Say that changed settings were put into force."""
    return Audited(
        at_s=now_s,
        actor=f"file:{file}",
        verb="configure",
        incident_id="",
        scope="",
        reason="; ".join(changes)[:REASON_MAX],
        via="settings",
    )


def of_hand(decision: Decision, outcome: str, now_s: float) -> Audited:
    """Say what a person ordered from the command line, and what became of it."""
    return Audited(
        at_s=now_s,
        actor=decision.actor,
        verb=_verb(decision),
        incident_id=decision.incident_id,
        scope=decision.scope,
        reason=decision.reason,
        outcome=outcome,
        via="command line",
    )


def _verb(decision: Decision) -> str:
    """Name a decision as the buttons do."""
    if decision.use is not None:
        return decision.use
    is_denied = decision.action is Action.KILL and decision.scope.startswith(f"{APPROVAL}:")
    return "deny" if is_denied else str(decision.action)


class Wanted(Struct, frozen=True, kw_only=True):
    """Which lines somebody wants to see; each but `refused` is a glob."""

    actor: str = "*"
    verb: str = "*"
    scope: str = "*"
    refused: bool = False

    def fits(self, line: Audited) -> bool:
        """Tell whether a line is wanted.

        >>> click = Audited(at_s=0.0, actor="slack:U1", verb="release", incident_id="i", scope="agent:a")
        >>> Wanted(actor="slack:*").fits(click), Wanted(refused=True).fits(click)
        (True, False)
        """
        pairs = ((line.actor, self.actor), (line.verb, self.verb), (line.scope, self.scope))
        return all(fnmatchcase(text, glob) for text, glob in pairs) and (not self.refused or line.outcome != "accepted")


async def read(settings: Settings, since_s: float, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the lines since then that are wanted, oldest first."""
    found = []
    named = {"audit": settings.topics.named("audit")}
    async for record in follow(settings.kafka.client_kwargs(), named, since_s, on=False):
        try:
            line = _lines.decode(record.value or b"")
        except DecodeError:
            continue
        if wanted.fits(line):
            found.append(to_builtins(line))
    return found
