"""What is wrong with a file, in words that say how to mend it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from streams.settings.document import Document, Path
from streams.settings.root import Settings


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what stands there, how to mend it."""

    file: str
    line: int
    field: str
    value: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        what = f"{self.field}: " if self.field else ""
        return f"{where}{what}{self.value + ': ' if self.value else ''}{self.mend}"


class SettingsError(Exception):
    """The settings can't be used; `problems` has every mistake found, and the text one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def from_pydantic(error: ValidationError, file: str, document: Document, hidden: set[Path]) -> list[Problem]:
    """Turn pydantic's findings into ours; values of secrets and of `hidden` paths are not shown."""
    problems: dict[Path, Problem] = {}
    for detail in error.errors():
        path = _in_file(detail["loc"], document)
        shown = "" if path in hidden or _is_secret(path) else _shown(detail)
        of_union = len(path) < len(detail["loc"])
        mend = "must be a number, a word, true or false" if of_union else _mend(detail, path)
        problems.setdefault(path, Problem(file, document.line_of(path), dotted(path), shown, mend))
    return list(problems.values())


def dotted(path: Path) -> str:
    """Write a path as a person would.

    >>> dotted(("policy", "overrides", 0, "team"))
    'policy.overrides[0].team'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that `name` was meant to be, or list all.

    >>> nearest("cooldwn_s", ["cooldown_s", "floors"])
    'did you mean cooldown_s?'
    """
    names = sorted(known)
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"


def _in_file(loc: tuple[int | str, ...], document: Document) -> Path:
    """Drop what pydantic adds to a path for unions ("int", "constrained-str")."""
    path = tuple(loc)
    if path not in document.lines and path[:-1] in document.lines and isinstance(path[-1], str):
        return path if path[-1] in _known_names(path[:-1]) else path[:-1]
    return path


def _shown(detail: ErrorDetails) -> str:
    value = detail["input"]
    if detail["type"] in {"missing", "extra_forbidden"} or isinstance(value, dict | list | BaseModel):
        return ""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_MENDS = {
    "missing": "is needed; add it",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_pattern_mismatch": "doesn't fit the pattern {pattern}",
    "model_type": "must be a group of keys, indented below its name",
    "mapping_type": "must be a group of keys, indented below its name",
    "tuple_type": "must be a list: [a, b] or one `- item` a line",
}


def _mend(detail: ErrorDetails, path: Path) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key; {nearest(str(path[-1]), _known_names(path[:-1]))}"
    template = _MENDS.get(detail["type"])
    if template is None:
        return detail["msg"].removeprefix("Input ").replace("should be", "must be")
    return template.format(**detail.get("ctx", {}))


def _known_names(path: Path) -> list[str]:
    kind = _type_at(path)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _is_secret(path: Path) -> bool:
    return _type_at(path) is SecretStr


def _type_at(path: Path) -> Any:
    """Follow a path through the models' annotations; None where it leads nowhere."""
    kind: Any = Settings
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif get_origin(kind) in (Mapping, tuple):
            kind = get_args(kind)[1 if get_origin(kind) is Mapping else 0]
        kind = _without_none(kind)
    return kind


def _without_none(kind: Any) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    is_optional = type(None) in get_args(kind) and get_origin(kind) in (Union, type(int | str))
    kind = options[0] if is_optional and len(options) == 1 else kind
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
