"""PURE: which settings can change while the service runs; the others need a restart."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from streams.settings.root import Settings

LIVE = (
    "mode",
    "policy",
    "detectors",
    "limits",
    "gates",
    "prices",
    "protected",
    "slack",
    "slack_users",
    "webhooks",
    "pagerduty",
    "notify",
    "page",
    "runbook_url",
    "dashboard_url",
)
"""Top-level keys that are applied as they are read."""
LIVE_LOGS = "level"


def is_live(field: str) -> bool:
    """Tell whether a change of a dotted field is applied without a restart.

    >>> is_live("policy.floors.min_calls"), is_live("logs.level"), is_live("kafka.bootstrap")
    (True, True, False)
    """
    top = field.partition(".")[0].partition("[")[0]
    return top in LIVE or field == f"logs.{LIVE_LOGS}"


def merged(running: Settings, wanted: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return `running` with all of `wanted` that can change live, and the names of what needs a restart."""
    level = wanted.logs.level
    changes = {name: getattr(wanted, name) for name in LIVE}
    changes["logs"] = running.logs.model_copy(update={LIVE_LOGS: level})
    return running.model_copy(update=changes), tuple(name for name in differing(running, wanted) if not is_live(name))


def differing(old: BaseModel, new: BaseModel, above: str = "") -> Iterator[str]:
    """Yield the dotted names of the fields that differ; lists and mappings count as one field."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield from _named(before, after, f"{above}{name}")


def _named(before: Any, after: Any, name: str) -> Iterator[str]:
    if isinstance(before, BaseModel) and type(before) is type(after):
        yield from differing(before, after, f"{name}.")
    else:
        yield name
