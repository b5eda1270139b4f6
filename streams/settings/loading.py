"""From a file to settings, or to a list of what is wrong with it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from streams.settings.detectors import mistakes
from streams.settings.document import Document, DocumentError, parse
from streams.settings.document import Path as Place
from streams.settings.problems import Problem, SettingsError, dotted, from_pydantic
from streams.settings.root import Settings
from streams.settings.secrets import Expansion, expand
from streams.settings.section import BASE_FOLDER


class Loaded(NamedTuple):
    """Settings with the document that they came from, which knows the line of each."""

    settings: Settings
    document: Document


def load(path: str | Path, environ: Mapping[str, str] | None = None, *, with_secrets: bool = True) -> Settings:
    """Read a YAML file, replace `${NAME}` and `file:` references, and check everything.

    `with_secrets=False` looks nothing up, to check a file where its secrets are not: `${NAME:-default}` is its
    default, and what else refers to the outside is taken for right.
    Raises SettingsError with every mistake found; relative paths start from the file's folder.
    """
    return read(path, environ, with_secrets=with_secrets).settings


def read(path: str | Path, environ: Mapping[str, str] | None = None, *, with_secrets: bool = True) -> Loaded:
    """Read as `load` does, and return the settings with their document."""
    path = Path(path)
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([Problem(str(path), 1, "", "", f"can't read the file: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise SettingsError([Problem(str(path), 1, "", "", "the file isn't UTF-8 text; save it as UTF-8")]) from None
    except DocumentError as error:
        raise SettingsError([Problem(str(path), error.line, "", "", str(error))]) from None
    found = Expansion(secrets=with_secrets)
    base = path.resolve().parent
    values = expand(document.values, os.environ if environ is None else environ, base, found)
    return Loaded(_validated(values, str(path), document, found, base), document)


def _validated(values: dict[str, Any], file: str, document: Document, found: Expansion, base: Path) -> Settings:
    problems = _located(found.missing.items(), file, document)
    settings = None
    try:
        settings = Settings.model_validate(values, context={BASE_FOLDER: base})
    except ValidationError as error:
        if unsure := [path for path in found.left if any(path == each["loc"][: len(path)] for each in error.errors())]:
            found.left.difference_update(unsure)
            return _validated(_without(values, unsure), file, document, found, base)
        already = {problem.field for problem in problems}
        problems += [p for p in from_pydantic(error, file, document, found.hidden) if p.field not in already]
    if settings is not None:
        problems += _located(mistakes(settings.detectors), file, document)
    if problems or settings is None:
        raise SettingsError(sorted(problems, key=lambda problem: problem.line))
    return settings


def _without(values: Any, paths: Iterable[Place], above: Place = ()) -> Any:
    """Return the values without those at `paths`: what can't be known here is as if it weren't said."""
    if isinstance(values, dict):
        kept = {k: v for k, v in values.items() if (*above, k) not in paths}
        return {key: _without(value, paths, (*above, key)) for key, value in kept.items()}
    if isinstance(values, list):
        return [_without(v, paths, (*above, i)) for i, v in enumerate(values) if (*above, i) not in paths]
    return values


def _located(mends: Iterable[tuple[Place, str]], file: str, document: Document) -> list[Problem]:
    return [Problem(file, document.line_of(path), dotted(path), "", mend) for path, mend in mends]
