"""Settings in, parts out: the engine, the judge, the prices and the keys that a configuration asks for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from alerts.decision import Action
from alerts.gateway.keys import Role, SigningKey, Trust, write_keys
from alerts.policy import RuleBook, Rules
from alerts.probation import Probation
from detectors.ceiling import Ceiling, RunCeiling
from detectors.judge import Judge, JudgeParameters
from detectors.limits import Limit
from detectors.parameters import bar_of
from detectors.registry import DETECTORS
from detectors.verdict import STEEP
from streams.engine import Engine, EngineSettings
from streams.notifier import Wiring as Links
from streams.prices import Prices, UnitPrice
from streams.settings import Settings
from streams.settings.detectors import build
from streams.settings.parts import Limit as SetLimit
from streams.settings.policy import Policy


def rules_of(settings: Settings, *, armed: bool = False) -> RuleBook:
    """Return the policy by scope, its overrides merged in; `armed` overrides the mode."""

    def find(scope: str, team: str, environment: str) -> Rules:
        mode = settings.policy.mode_of(settings.mode, scope, team, environment)
        policy = settings.policy.applying_to(scope, team, environment)
        shadow = mode == "shadow" and not armed
        return _rules(policy, settings.protected, shadow=shadow, widest_budget=_widest_budget(settings))

    if settings.policy.overrides:
        return RuleBook(find)
    return RuleBook.same(find("", "", ""))


def _widest_budget(settings: Settings) -> float:
    """Return the most false kills that are accepted anywhere: a judge's bar is the lowest that anyone needs."""
    others = (override.false_kills_per_1000_agent_days for override in settings.policy.overrides)
    return max([settings.policy.false_kills_per_1000_agent_days, *filter(None, others)])


def _rules(policy: Policy, protected: tuple[str, ...], *, shadow: bool, widest_budget: float) -> Rules:
    return Rules(
        shadow=shadow,
        weight=(bar_of(widest_budget) / bar_of(policy.false_kills_per_1000_agent_days)) ** STEEP,
        min_usd_per_min=policy.floors.min_usd_per_min,
        min_tokens_per_min=policy.floors.min_tokens_per_min,
        min_calls=policy.floors.min_calls,
        suspicious=Action(policy.suspicious),
        consecutive=policy.consecutive_breaches,
        cooldown_s=policy.cooldown_s,
        kill_duration_s=policy.kill_duration_s,
        quiet_s=policy.quiet_s,
        probation=Probation(
            span_s=policy.probation.span_s,
            share=policy.probation.limits_percent / 100,
            bar=policy.probation.bar_percent / 100,
            forgive_s=policy.probation.forgive_s,
        ),
        protected=protected,
        blast_agents_share=policy.blast_radius.max_agents_percent / 100,
        blast_agents_min=policy.blast_radius.max_agents,
        blast_window_s=policy.blast_radius.window_s,
        blast_usd=policy.blast_radius.max_usd,
    )


def prices_of(settings: Settings) -> Prices:
    """Return the price list with the configuration's overrides and its price for the unknown."""

    def unit(price: object) -> UnitPrice:
        given: Mapping[str, float | None] = price.model_dump()  # type: ignore[attr-defined]
        plain = given["input_usd_per_mtok"] or 0.0
        cached = given["cached_usd_per_mtok"]
        return UnitPrice(plain, plain if cached is None else cached, given["output_usd_per_mtok"] or 0.0, plain)

    overrides = {model: unit(price) for model, price in settings.prices.models.items()}
    return Prices(overrides, replace(unit(settings.prices.unknown), known=False))


def judge_of(settings: Settings) -> Judge:
    """Return the judge with the configured detectors, budget and limits."""
    made = build(settings.detectors)
    parameters: dict[str, Any] = {name: made.get(name) for name in DETECTORS}
    parameters["agent_ceiling"] = parameters.pop("ceiling") or Ceiling()
    parameters["run_ceiling"] = parameters["run_ceiling"] or RunCeiling()
    parameters["limits"] = tuple(map(_limit, settings.limits))
    parameters["false_kills_per_1000_agent_days"] = _widest_budget(settings)
    return Judge(JudgeParameters(**parameters))


def _limit(limit: SetLimit) -> Limit:
    """Translate a limit of the settings: what is counted over a window, and what of one run."""
    measures = {"usd": limit.usd, "tokens": limit.tokens}
    windows = (
        {} if limit.per in (None, "run") else {f"{name}_per_{limit.per}": value for name, value in measures.items()}
    )
    runs = measures if limit.per == "run" else {}
    run = {**runs, "steps": limit.steps, "depth": limit.depth}
    return Limit(limit.scope, msgspec.convert(windows, Ceiling), msgspec.convert(run, RunCeiling))


def engine_of(settings: Settings, partitions: int = 1) -> Engine:
    """Return a new engine for one of so many partitions."""
    bounds = EngineSettings(rules=rules_of(settings), agents_max=agents_max(settings, partitions))
    return Engine(bounds, judge_of(settings), prices_of(settings))


def agents_max(settings: Settings, partitions: int) -> int:
    """Return how many agents one of so many partitions may know."""
    return -(-settings.service.agents_max // partitions)


def links_of(settings: Settings) -> Links:
    """Return where incidents are kept and published, and what their messages link to."""
    named = settings.topics.named
    return Links(
        incidents_topic=named("incidents"),
        alerts_topic=named("alerts"),
        runbook_url=str(settings.runbook_url or ""),
        dashboard_url=str(settings.dashboard_url or ""),
    )


def keys_of(settings: Settings) -> tuple[dict[Role, SigningKey], Trust]:
    """Return the signing keys that are here, and the public keys that are believed.

    Without configured files, keys are made once in the data folder: enough to try out on one machine.
    Raises OSError or WireError when a configured file can't be read.
    """
    folder = settings.service.data_dir / "keys"
    if settings.keys.dir is None and not folder.exists():
        write_keys(folder)
    files = {role: settings.keys.file_of(role.value) or folder / f"{role}.key" for role in Role}
    keys = {role: SigningKey.parse(path.read_bytes()) for role, path in files.items() if path.exists()}
    return keys, Trust.parse(trust_file(settings).read_bytes())


def trust_file(settings: Settings) -> Path:
    """Return the path of the public keys that gateways need."""
    return settings.keys.file_of("trust") or settings.service.data_dir / "keys" / "trust.json"
