"""The audit: one line for each thing that a person (or a changed file) did, kept for a year."""

from collections.abc import Sequence

from msgspec import json

from alerts.desk import Audited
from streams.outlet import Message, Outlet

REASON_MAX = 4_000


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
