"""After a release or an expiry: a shorter fuse, longer kills for repeat offenders, and trust in the end."""

from msgspec.structs import replace
from policy_cases import ARMED, breach

from alerts.decision import Action, Decision
from alerts.policy import Blast, Rules, Standing, decide, release


class Scope:
    """One scope's standing; `hit` is a breach at a time."""

    def __init__(self, rules: Rules = ARMED) -> None:
        self.rules, self.standing, self.blast = rules, Standing(), Blast([])

    def hit(self, value: float, at_s: float, **fields: object) -> Decision | None:
        return decide(self.rules, self.standing, breach(value, **fields), at_s, blast=self.blast, agents=100)

    def action(self, value: float, at_s: float, **fields: object) -> str:
        made = self.hit(value, at_s, **fields)
        return "-" if made is None else str(made.action)


def killed_and(release_at_s: float | None = None, rules: Rules = ARMED, *, planned: bool = False) -> Scope:
    scope = Scope(rules)
    assert scope.action(2.0, 0.0) == "kill"
    if release_at_s is not None:
        release(rules, scope.standing, release_at_s, planned=planned)
    return scope


def test_less_than_the_usual_score_stops_a_scope_on_probation() -> None:
    trusted, watched = Scope(), killed_and(100.0)

    assert trusted.action(0.8, 200.0) == "warn"
    made = watched.hit(0.8, 200.0)
    assert made is not None
    assert (made.action, made.reason) == (Action.KILL, "much (on probation; stopped 2 times lately)")


def test_so_it_does_after_a_kill_whose_time_was_over() -> None:
    assert killed_and().action(0.8, 3_700.0) == "kill"


def test_one_breach_is_enough_on_probation() -> None:
    rules = replace(ARMED, consecutive=3)
    scope = Scope(rules)
    assert [scope.action(2.0, t) for t in (0.0, 1.0, 2.0)] == ["warn", "-", "kill"]

    release(rules, scope.standing, 100.0)

    assert scope.action(2.0, 200.0) == "kill"


def test_after_its_probation_a_scope_is_trusted_again() -> None:
    assert killed_and(100.0).action(0.8, 100.0 + 1_800.0) == "warn"


def test_what_was_planned_is_trusted_at_once() -> None:
    scope = killed_and(100.0, planned=True)

    assert scope.action(0.8, 200.0) == "warn"
    made = scope.hit(2.0, 300.0)
    assert made is not None
    assert made.expires_s == 300.0 + 3_600.0


def test_what_was_under_way_at_a_release_does_not_stop_it_again_but_a_hard_limit_does() -> None:
    scope = killed_and(100.0)

    assert scope.action(2.0, 130.0) == "-"
    assert scope.action(2.0, 140.0, sure=True) == "kill"


def test_a_decision_says_how_long_the_probation_will_be() -> None:
    scope = Scope()
    first = scope.hit(2.0, 0.0)
    second = scope.hit(2.0, 4_000.0)

    assert first is not None and second is not None
    assert (first.probation_s, second.probation_s) == (1_800.0, 3_600.0)


def test_a_scope_that_behaved_for_a_day_is_a_first_offender_again() -> None:
    made = killed_and(100.0).hit(2.0, 100.0 + 1_800.0 + 86_400.0)

    assert made is not None and made.expires_s is not None
    assert made.expires_s - made.at_s == 3_600.0


def test_a_span_of_nothing_switches_it_off() -> None:
    rules = replace(ARMED, probation=replace(ARMED.probation, span_s=0.0))

    assert killed_and(100.0, rules).action(0.8, 200.0) == "warn"
