"""A team may accept more or fewer wrong kills than the rest."""

from alerts.decision import Action
from alerts.policy import Blast, Breach, Rules, Standing, decide
from streams.assembly import judge_of, rules_of
from streams.settings import Settings
from streams.settings.document import parse

OVERRIDDEN = """
mode: armed
policy:
  false_kills_per_1000_agent_days: 1
  overrides:
    - {team: payments, false_kills_per_1000_agent_days: 0.1}
    - {team: sandbox, false_kills_per_1000_agent_days: 5}
"""


def settings_of_text(text: str) -> Settings:
    return Settings.model_validate(parse(text).values)


def action(rules: Rules, value: float, *, sure: bool = False) -> Action | None:
    breach = Breach(
        scope="agent:a", value=value, detector="loop", reason="r", window_start_s=0.0, sure=sure, tokens_per_min=1e6
    )
    found = decide(rules, Standing(), breach, 1000.0, blast=Blast([]), agents=100)
    return None if found is None else found.action


def test_what_kills_where_much_is_accepted_only_warns_where_little_is() -> None:
    settings = settings_of_text(OVERRIDDEN)
    rules = rules_of(settings)
    bar = judge_of(settings).parameters.bar
    of_everybody = judge_of(settings_of_text("mode: armed")).parameters.bar

    enough_for_sandbox = 1.01
    enough_for_everybody = 1.01 * (of_everybody / bar) ** 5

    assert action(rules.of("agent:a", "sandbox"), enough_for_sandbox) is Action.KILL
    assert action(rules.of("agent:a", "core"), enough_for_sandbox) is not Action.KILL
    assert action(rules.of("agent:a", "core"), enough_for_everybody) is Action.KILL
    assert action(rules.of("agent:a", "payments"), enough_for_everybody) is not Action.KILL


def test_a_hard_ceiling_asks_for_no_budget() -> None:
    rules = rules_of(settings_of_text(OVERRIDDEN))

    assert action(rules.of("agent:a", "payments"), 1.01, sure=True) is Action.KILL


def test_without_overrides_scores_are_taken_as_they_are() -> None:
    rules = rules_of(settings_of_text("policy: {false_kills_per_1000_agent_days: 0.2}"))

    assert rules.of("agent:a", "t").weight == 1.0
