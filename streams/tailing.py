"""What is decided, ordered and told to people, each as one line for a person and one document for a program."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from msgspec import DecodeError, Struct, json, to_builtins

from alerts.decision import Decision
from alerts.gateway.keys import Trust
from alerts.gateway.wire import Command, WireError
from alerts.published import Alert
from streams.assembly import trust_file
from streams.following import Found, follow
from streams.settings import Settings

KINDS = ("decisions", "incidents", "commands")
_TOPIC_OF = {"decisions": "decisions", "incidents": "alerts", "commands": "kills"}

_decisions = json.Decoder(Decision)
_alerts = json.Decoder(Alert)


class Line(Struct, frozen=True):
    """One thing that happened: of which kind, about which scope, when (Unix seconds)."""

    kind: str
    at_s: float
    scope: str
    text: str
    document: Mapping[str, Any]


class Reader:
    """Reads the topics of some kinds. Commands are shown as what they are only if their signature is believed."""

    def __init__(self, settings: Settings, kinds: Collection[str] = KINDS) -> None:
        self._client = settings.kafka.client_kwargs()
        self._named = {kind: settings.topics.named(_TOPIC_OF[kind]) for kind in KINDS if kind in kinds}
        file = trust_file(settings)
        self._trust = Trust.parse(file.read_bytes()) if file.exists() else None

    async def lines(self, since_s: float | None, *, on: bool) -> AsyncIterator[Line]:
        """Yield lines from `since_s` on (None: from now on); `on` waits for more at the end."""
        readers: Mapping[str, Callable[[Found], Line | None]] = {
            "decisions": _decision,
            "incidents": _incident,
            "commands": self._command,
        }
        async for found in follow(self._client, self._named, since_s, on=on):
            line = readers[found.what](found)
            if line is not None:
                yield line

    def _command(self, found: Found) -> Line | None:
        key = (found.key or b"").decode("utf-8", "replace")
        if self._trust is None or found.value is None:
            text = "a tombstone" if found.value is None else "not checked: no trust file where the settings say"
            return _line("command", found.at_s, key, f"{key}: {text}", {})
        try:
            command = self._trust.verify(found.value, key).payload
        except WireError as error:
            return _line("command", found.at_s, key, f"NOT BELIEVED {key}: {error}", {"error": str(error)})
        if not isinstance(command, Command):
            return None
        words = f"{command.state} {command.scope} (seq {command.seq}, epoch {command.epoch}) by {command.actor}"
        return _line("command", command.issued_at, key, f"{words}: {command.reason}", to_builtins(command))


def _decision(found: Found) -> Line | None:
    try:
        decision = _decisions.decode(found.value or b"")
    except DecodeError:
        return None
    said = "would " if decision.shadow else ""
    by = f"{decision.detector} at {decision.score:g}" if decision.actor == "detector" else decision.actor
    text = f"{said}{decision.action} {decision.scope} by {by}: {decision.reason}"
    return _line("decision", decision.at_s, decision.scope, text, to_builtins(decision))


def _incident(found: Found) -> Line | None:
    try:
        alert = _alerts.decode(found.value or b"")
    except DecodeError:
        return None
    who = f" by {alert.status_by}" if alert.status_by else ""
    text = f"{alert.headline} ({alert.status}{who}, incident {alert.id}): {alert.reason}"
    return _line("incident", found.at_s, alert.scope, text, to_builtins(alert))


def _line(kind: str, at_s: float, scope: str, text: str, document: Mapping[str, Any]) -> Line:
    return Line(kind, at_s, scope, text, {"kind": kind, "at_s": at_s, "scope": scope, **document})
