"""`${NAME}` and `file:/path` in any string, so that secrets stay out of the file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.settings import document

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_MAX_SECRET_BYTES = 64 * 1024


@dataclass
class Expansion:
    """What became of the references; `hidden` are the paths that came from outside, `missing` what wasn't there.

    Without `secrets` nothing is looked up: a default is taken, and what has none stays as it stands, in `left`.
    """

    secrets: bool = True
    left: set[document.Path] = field(default_factory=set)
    hidden: set[document.Path] = field(default_factory=set)
    missing: dict[document.Path, str] = field(default_factory=dict)
    """Path -> what to do about it."""


def expand(value: Any, environ: Mapping[str, str], base: Path, found: Expansion, path: document.Path = ()) -> Any:
    """Return `value` with all references replaced, noting in `found` what came from outside and what is missing.

    `${NAME:-default}` falls back, `$${` is a plain `${`, and a string `file:PATH` becomes the file's text
    without its trailing newline; a relative PATH starts from `base`.
    """
    if isinstance(value, dict):
        return {key: expand(item, environ, base, found, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ, base, found, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _expand_text(value, environ, base, found, path)
    return value


def _expand_text(text: str, environ: Mapping[str, str], base: Path, found: Expansion, path: document.Path) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "${"
        found.hidden.add(path)
        if name in environ and found.secrets:
            return environ[name]
        if match["default"] is None and not found.secrets:
            found.left.add(path)
            return match[0]
        if match["default"] is None:
            found.missing[path] = f"the environment variable {name} isn't set; set it or write ${{{name}:-default}}"
        return match["default"] or ""

    text = _REFERENCE.sub(replace, text)
    if not text.startswith("file:"):
        return text
    found.hidden.add(path)
    if not found.secrets:
        found.left.add(path)
        return text
    return _read(base / Path(text.removeprefix("file:")).expanduser(), found, path)


def _read(file: Path, found: Expansion, path: document.Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_SECRET_BYTES + 1)
        if len(data) > _MAX_SECRET_BYTES:
            found.missing[path] = f"{file} is larger than 64 KiB; is it the right file?"
            return ""
        return data.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        found.missing[path] = f"can't read {file}: {why}; create it or change the path"
        return ""
