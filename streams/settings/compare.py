"""PURE: what a change of the settings means: for whom, in words, and whether it is looser or tighter."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from streams.settings.audiences import EVERYBODY, Audience, audiences, in_force, leaves
from streams.settings.gates import Gate
from streams.settings.live import differing, is_live
from streams.settings.parts import Limit
from streams.settings.phrases import Effect, effect, plain, sentence, written
from streams.settings.root import Settings

IN_WORDS = ("mode", "policy", "limits", "gates", "protected", "detectors", "prices", "slack_users", "notify")
"""Top-level settings that have words of their own."""


class Change(Struct, frozen=True):
    """One difference. `needs_restart` says that it isn't applied to a running service."""

    whom: str
    field: str
    words: str
    effect: Effect = ""
    needs_restart: bool = False


def compare(old: Settings, new: Settings) -> list[Change]:
    """Return what differs, together what is for the same, everybody first."""
    found = [
        *_policy(old, new),
        *_limits(old, new),
        *_gates(old, new),
        *_protected(old, new),
        *_detectors(old, new),
        *_prices(old, new),
        *_people(old, new),
        *_notify(old, new),
        *_others(old, new),
    ]
    order = list(dict.fromkeys(["everybody", *(change.whom for change in found)]))
    return sorted(found, key=lambda change: order.index(change.whom))


def _policy(old: Settings, new: Settings) -> Iterator[Change]:
    whole = {name: (before, after) for name, before, after in _moved(old, new, EVERYBODY)}
    spared = _spared(old, new, whole)
    for name, (before, after) in whole.items():
        but = f" (not for {', '.join(spared[name])}: overridden)" if spared.get(name) else ""
        yield _change("everybody", name, before, after, but)
    for whom in audiences(old, new)[1:]:
        for name, before, after in _moved(old, new, whom):
            if whole.get(name) != (before, after):
                yield _change(str(whom), name, before, after)


def _moved(old: Settings, new: Settings, whom: Audience) -> Iterator[tuple[str, Any, Any]]:
    before, after = in_force(old, whom), in_force(new, whom)
    return ((name, before[name], after[name]) for name in before if before[name] != after[name])


def _spared(old: Settings, new: Settings, whole: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return who keeps a value of their own where everybody's changes."""
    spared: dict[str, list[str]] = {}
    for whom in audiences(old, new)[1:]:
        before, after = in_force(old, whom), in_force(new, whom)
        for name in whole:
            if before[name] == after[name]:
                spared.setdefault(name, []).append(str(whom))
    return spared


def _change(whom: str, name: str, before: Any, after: Any, but: str = "") -> Change:
    words = f"{sentence(name, after)}; until now: {written(name, before)}{but}"
    return Change(whom, name, words, effect(name, before, after))


Measure = tuple[str, str, str]


def _measures(limits: tuple[Limit, ...]) -> dict[Measure, float]:
    """Return the lowest bound by (scope, measure, period)."""
    found: dict[Measure, float] = {}
    for limit in limits:
        for what in ("usd", "tokens", "steps", "depth"):
            value = getattr(limit, what)
            if value is not None:
                per = str(limit.per) if what in ("usd", "tokens") else "run"
                key = (limit.scope, what, per)
                found[key] = min(value, found.get(key, value))
    return found


def _limits(old: Settings, new: Settings) -> Iterator[Change]:
    before, after = _measures(old.limits), _measures(new.limits)
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        scope, what, per = key
        tighter = was is None or (now is not None and now < was)
        words = f"no limit any more on {_measured(what, per)}" if now is None else bound(what, per, now)
        until = "; until now: no limit" if was is None else f"; until now: {bound(what, per, was)}"
        yield Change(scope, "limits", words + until, "tighter" if tighter else "looser")


def bound(what: str, per: str, value: float) -> str:
    """Say a limit.

    >>> bound("usd", "hour", 50.0), bound("depth", "run", 3)
    ('at most $50 an hour', 'at most 3 runs within runs')
    """
    if what == "depth":
        return f"at most {value:g} runs within runs"
    amount = f"${value:,g}" if what == "usd" else f"{value:,g} {what}"
    return f"at most {amount} {'an' if per == 'hour' else 'a'} {per}"


def _measured(what: str, per: str) -> str:
    names = {"usd": "dollars", "depth": "runs within runs"}
    return names.get(what, what) + ("" if what == "depth" else f" {'an' if per == 'hour' else 'a'} {per}")


def _gates(old: Settings, new: Settings) -> Iterator[Change]:
    before, after = ({gate.name: gate for gate in each.gates} for each in (old, new))
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        words = f"{gate_held(now)}, until a person approves" if now else "no longer wait for approval"
        until = f"; until now: {gate_held(was)}" if was else "; until now: no gate"
        effect_of: Effect = "tighter" if was is None else "looser" if now is None else ""
        yield Change(f"gate {name}", "gates", words + until, effect_of)


def gate_held(gate: Gate) -> str:
    """Say which calls a gate holds.

    >>> gate_held(Gate(name="dear", models=("*opus*",), min_estimated_usd=2.5))
    'calls of *opus* from $2.5 on are held'
    """
    parts = ["calls"]
    for what, globs in (("of agents", gate.agents), ("of teams", gate.teams), ("of", gate.models)):
        parts += [f"{what} {', '.join(globs)}"] if globs else []
    if gate.min_output_usd_per_mtok is not None:
        parts.append(f"of models at ${gate.min_output_usd_per_mtok:,g} a million output tokens or more")
    parts += [f"that offer {', '.join(gate.tools)}"] if gate.tools else []
    parts += [f"from ${gate.min_estimated_usd:,g} on"] if gate.min_estimated_usd is not None else []
    return f"{' '.join(parts)} are held"


def _protected(old: Settings, new: Settings) -> Iterator[Change]:
    for scope in [s for s in new.protected if s not in old.protected]:
        yield Change(scope, "protected", "never stopped by a detector any more, only warned about", "looser")
    for scope in [s for s in old.protected if s not in new.protected]:
        yield Change(scope, "protected", "may be stopped by a detector again", "tighter")


def _detectors(old: Settings, new: Settings) -> Iterator[Change]:
    for name in sorted({*old.detectors, *new.detectors}):
        before, after = old.detectors.get(name, {}), new.detectors.get(name, {})
        was_on, is_on = (each.get("enabled", True) is not False for each in (before, after))
        if was_on != is_on:
            words = f"detector {name} is switched {'on' if is_on else 'off'}"
            yield Change("everybody", f"detectors.{name}.enabled", words, "tighter" if is_on else "looser")
        for parameter in sorted({*before, *after} - {"enabled"}):
            was, now = (each.get(parameter, "its default") for each in (before, after))
            if was != now:
                words = f"{name}'s {parameter} is {plain(now)}; until now: {plain(was)}"
                yield Change("everybody", f"detectors.{name}.{parameter}", words)


def _prices(old: Settings, new: Settings) -> Iterator[Change]:
    priced = {model: (old.prices.models.get(model), new.prices.models.get(model)) for model in
              sorted({*old.prices.models, *new.prices.models})}  # fmt: skip
    pairs = {**priced, "an unknown model": (old.prices.unknown, new.prices.unknown)}
    for model, (before, after) in pairs.items():
        if before != after:
            words = f"{model} costs {_price(after)}; until now: {_price(before)}"
            yield Change("everybody", "prices", words)


def _price(price: BaseModel | None) -> str:
    if price is None:
        return "what the built-in list says"
    given = price.model_dump()
    cached = given["cached_usd_per_mtok"]
    more = "" if cached is None else f", ${cached:g} cached"
    return f"${given['input_usd_per_mtok']:g} in, ${given['output_usd_per_mtok']:g} out{more} a million tokens"


def _people(old: Settings, new: Settings) -> Iterator[Change]:
    for user in sorted({*old.slack_users, *new.slack_users}):
        was, now = old.slack_users.get(user), new.slack_users.get(user)
        if was != now:
            words = f"is {f'an {now}' if now and now[0] in 'ao' else f'a {now}' if now else 'nobody who may act'}"
            yield Change(f"Slack {user}", "slack_users", f"{words}; until now: {was or 'nobody who may act'}")


def _notify(old: Settings, new: Settings) -> Iterator[Change]:
    after = dict(leaves(new.notify, "notify."))
    for name, was in leaves(old.notify, "notify."):
        if was != after[name]:
            yield _change("people", name, was, after[name])


def _others(old: Settings, new: Settings) -> Iterator[Change]:
    for name in differing(old, new):
        if name.partition(".")[0] not in IN_WORDS:
            yield Change("the service", name, f"{name} is {_at(new, name)}; until now: {_at(old, name)}",
                         needs_restart=not is_live(name))  # fmt: skip


def _at(settings: BaseModel, name: str) -> str:
    """Write the value at a dotted name; secrets and what is too long to read aren't shown."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    text = plain(value)
    return text if len(text) <= 80 and "*****" not in text else "another"
