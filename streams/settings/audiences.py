"""PURE: for whom the policy says what: everybody, and those whom an override names."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from streams.settings.policy import Override
from streams.settings.root import Settings


class Audience(NamedTuple):
    """Whom globs name; all `*` is everybody."""

    scope: str = "*"
    team: str = "*"
    environment: str = "*"

    def __str__(self) -> str:
        named = {"": self.scope, "team ": self.team, "environment ": self.environment}
        return ", ".join(f"{what}{glob}" for what, glob in named.items() if glob != "*") or "everybody"


EVERYBODY = Audience()


def audience_of(override: Override) -> Audience:
    """Return whom an override is for."""
    return Audience(override.scope, override.team, override.environment)


def audiences(*settings: Settings) -> list[Audience]:
    """Return everybody, then whom the overrides of any of the settings name, in their order."""
    named = [audience_of(override) for each in settings for override in each.policy.overrides]
    return list(dict.fromkeys([EVERYBODY, *named]))


def in_force(settings: Settings, whom: Audience) -> dict[str, Any]:
    """Return mode and policy for an audience by dotted name, its overrides merged in.

    An override counts for an audience if its globs match the audience's own: `agent:*` counts for `agent:batch-*`.
    """
    policy = settings.policy.applying_to(*whom)
    mode = settings.policy.mode_of(settings.mode, *whom)
    return {"mode": mode, **dict(leaves(policy, "policy.", leave_out=("overrides",)))}


def leaves(section: BaseModel, above: str = "", leave_out: Iterable[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each setting in a section."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name in leave_out:
            continue
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
