"""PURE: which value is in force for a scope, and where in the file it comes from."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from streams.settings.audiences import Audience, audience_of, in_force, leaves
from streams.settings.compare import bound, gate_held
from streams.settings.document import Document, Path
from streams.settings.phrases import plain, sentence
from streams.settings.policy import Override
from streams.settings.root import Settings


class Origin(Struct, frozen=True):
    """One value in force. `line` is None for a default; `source` is "default", "file", or whom an override is for."""

    field: str
    words: str
    source: str
    line: int | None = None


def origins(settings: Settings, document: Document, whom: Audience) -> list[Origin]:
    """Return what is in force for one scope: mode and policy, limits, protection, detectors, when people are told.

    `whom` names a scope with its team and environment, "" where they aren't known.
    """
    found = [_policy(settings, document, whom, name, value) for name, value in in_force(settings, whom).items()]
    return [*found, *_limits(settings, document, whom), *_gates(settings, document, whom),
            *_protected(settings, document, whom),
            *_detectors(settings, document), *_notify(settings, document)]  # fmt: skip


def unconsidered(settings: Settings, whom: Audience) -> list[Audience]:
    """Return whom overrides are for that might count, were the team or the environment known."""
    loose = Audience(whom.scope, whom.team or "*", whom.environment or "*")
    return [
        audience_of(each)
        for each in settings.policy.overrides
        if not each.matches(*whom)
        and fnmatchcase(loose.scope, each.scope)
        and (not whom.team or fnmatchcase(whom.team, each.team))
        and (not whom.environment or fnmatchcase(whom.environment, each.environment))
    ]


def _policy(settings: Settings, document: Document, whom: Audience, name: str, value: Any) -> Origin:
    words = sentence(name, value)
    parts = tuple(name.removeprefix("policy.").split("."))
    for index, override in reversed(list(enumerate(settings.policy.overrides))):
        if override.matches(*whom) and _set_by(override, parts) is not None:
            line = document.line_of(("policy", "overrides", index, *parts))
            return Origin(name, words, str(audience_of(override)), line)
    path: Path = parts if name == "mode" else ("policy", *parts)
    return Origin(name, words, *_base(settings, document, path))


def _set_by(override: Override, parts: tuple[str, ...]) -> Any:
    value: Any = override
    for part in parts:
        value = getattr(value, part, None)
    return value


def _base(settings: Settings, document: Document, path: Path) -> tuple[str, int | None]:
    section: Any = settings
    for part in path:
        if isinstance(section, BaseModel) and part not in section.model_fields_set:
            return "default", None
        section = getattr(section, str(part), None)
    return "file", document.line_of(path)


def _limits(settings: Settings, document: Document, whom: Audience) -> Iterator[Origin]:
    """Yield the limits that count for the scope and for what belongs to it; of a kind only the lowest is in force."""
    lowest: dict[tuple[str, str, str], tuple[float, int]] = {}
    for index, limit in enumerate(settings.limits):
        for whose in _whose(limit.scope, whom):
            for what in ("usd", "tokens", "steps", "depth"):
                value = getattr(limit, what)
                if value is not None:
                    key = (_runs(whose, what, limit.per), what, str(limit.per or "run"))
                    lowest[key] = min((value, index), lowest.get(key, (value, index)))
    for (whose, what, per), (value, index) in lowest.items():
        words = f"{whose}{bound(what, per, value)}"
        yield Origin(f"limits[{index}]", words, settings.limits[index].scope, document.line_of(("limits", index)))


def _whose(glob: str, whom: Audience) -> list[str]:
    kind = whom.scope.partition(":")[0]
    found = [""] if fnmatchcase(whom.scope, glob) else []
    if kind != "team" and whom.team and fnmatchcase(f"team:{whom.team}", glob):
        found.append("its team: ")
    if kind != "run" and glob.startswith("run:"):
        found.append("its runs: " if glob == "run:*" else f"its runs that match {glob}: ")
    return found


def _runs(whose: str, what: str, per: str | None) -> str:
    """A limit on runs that an agent's or team's glob sets holds for each of its runs."""
    return "each of its runs: " if not whose and (what in ("steps", "depth") or per == "run") else whose


def _gates(settings: Settings, document: Document, whom: Audience) -> Iterator[Origin]:
    """Yield the gates that may hold calls of the scope."""
    kind, _, name = whom.scope.partition(":")
    agent, team = name if kind == "agent" else "", name if kind == "team" else whom.team
    for index, gate in enumerate(settings.gates):
        pairs = ((gate.agents, agent), (gate.teams, team))
        if all(not globs or not known or any(fnmatchcase(known, glob) for glob in globs) for globs, known in pairs):
            yield Origin(f"gates[{index}]", f"{gate_held(gate)} until a person approves", gate.name,
                         document.line_of(("gates", index)))  # fmt: skip


def _protected(settings: Settings, document: Document, whom: Audience) -> Iterator[Origin]:
    names = (whom.scope, f"team:{whom.team}")
    globs = [(i, g) for i, g in enumerate(settings.protected) if any(fnmatchcase(name, g) for name in names)]
    for index, glob in globs:
        yield Origin("protected", "never stopped by a detector, only warned about", glob,
                     document.line_of(("protected", index)))  # fmt: skip
    if not globs:
        yield Origin("protected", "may be stopped: it is not protected", "default")


def _detectors(settings: Settings, document: Document) -> Iterator[Origin]:
    for name, given in settings.detectors.items():
        for parameter, value in given.items():
            field = f"detectors.{name}.{parameter}"
            yield Origin(field, f"{name}'s {parameter} is {plain(value)}", "file",
                         document.line_of(("detectors", name, parameter)))  # fmt: skip


def _notify(settings: Settings, document: Document) -> Iterator[Origin]:
    for name, value in leaves(settings.notify, "notify."):
        yield Origin(name, sentence(name, value), *_base(settings, document, tuple(name.split("."))))
