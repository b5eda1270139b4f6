"""The settings as a person reads them: a line each, secrets hidden, what differs from the default marked."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from streams.settings import Settings

NOWHERE = object()


class Shown(Struct, frozen=True):
    """One setting."""

    path: str
    value: str
    is_default: bool


def shown(settings: Settings) -> list[Shown]:
    """Return the settings in the order of the file's documentation."""
    usual = dict(_flat("", Settings().model_dump(mode="json")))
    return [
        Shown(path, _text(path, value), usual.get(path, NOWHERE) == value)
        for path, value in _flat("", settings.model_dump(mode="json"))
    ]


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), each)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _flat(f"{path}.{number}", each)
    else:
        yield path, value


def _text(path: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, dict):
        return "–"
    if path.startswith("webhooks."):
        return _place(str(value)) if path.endswith(".url") else str(value)
    return str(value)


def _place(url: str) -> str:
    """Where a webhook goes; the rest of its address is often its secret.

    >>> _place("https://user:pw@example.com/services/T0/B0/secret")
    'https://example.com/…'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/…"
