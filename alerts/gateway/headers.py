"""Who calls and how much, told by request headers."""

from collections.abc import Mapping

from msgspec import Struct

from .budget import USUAL, Load
from .estimate import BYTES_A_TOKEN, COUNT_MAX
from .identity import Identity, parents_of

FIELDS = ("agent", "team", "claimed_agent", "claimed_team", "workflow", "run", "parents", "model")
NONE = "-"


class HeaderNames(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which request header carries what; an empty name means that none does.

    `agent` and `team` must be set by the gateway itself after authentication; it must strip them from requests.
    `parents` lists run ids, nearest first, `tools` names, separated by commas. What a call may take is told by
    `input_tokens`, or else by the size of its body, `body_bytes`, and by `max_tokens`. These, `model` and
    `tools` ("-" for none) are the gateway's to set or to strip too: what isn't told may be any to an approval gate.
    """

    agent: str = "x-brakeline-agent"
    team: str = "x-brakeline-team"
    claimed_agent: str = "x-claimed-agent"
    claimed_team: str = "x-claimed-team"
    workflow: str = "x-workflow-id"
    run: str = "x-run-id"
    parents: str = "x-parent-run-ids"
    model: str = "x-model"
    input_tokens: str = "x-input-tokens"
    body_bytes: str = "x-body-bytes"
    max_tokens: str = "x-max-tokens"
    tools: str = "x-tools"


def identity_of(headers: Mapping[str, str], names: HeaderNames) -> Identity:
    """Read who is calling."""
    found = {field: headers.get(name, "").strip() for field in FIELDS if (name := getattr(names, field))}
    return Identity(parents=parents_of(found.pop("parents", "")), **found)


def load_of(headers: Mapping[str, str], names: HeaderNames) -> Load:
    """Read what the call may take; a usual call's where nothing is said."""
    size = _number(headers, names.body_bytes)
    told = _number(headers, names.input_tokens)
    guess = USUAL.input_tokens if size is None else size // BYTES_A_TOKEN + 1
    output = _number(headers, names.max_tokens)
    return Load(
        max(1, guess if told is None else told),
        USUAL.output_tokens if output is None else output,
        tools=_tools(headers.get(names.tools, "") if names.tools else ""),
    )


def _tools(text: str) -> tuple[str, ...] | None:
    names = [part.strip() for part in text.encode("utf-8", "replace").decode().split(",") if part.strip()]
    return tuple(name for name in names if name != NONE) if names else None


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip() if name else ""
    return min(int(text), COUNT_MAX) if text.isascii() and text.isdigit() and len(text) < 12 else None
