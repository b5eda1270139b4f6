"""What a gateway remembers of names that calls bring: what was used lately, and no more than its bound."""

from limiting import limited_guard
from signing import APPROVER, command, live_guard

from alerts.gateway.identity import Denial, Identity
from alerts.gateway.limits import Limit
from alerts.gateway.lineage import Lineage
from alerts.gateway.recent import Recent


def test_what_was_looked_up_lately_is_known_and_a_million_names_take_no_more_than_twice_the_bound() -> None:
    recent = Recent(100)
    recent.put("kept", "yes")
    for number in range(100_000):
        recent.put(f"made-up-{number}", "no")
        if number % 50 == 0:
            assert recent.get("kept") == "yes"
    assert len(recent.young) + len(recent.old) <= 200
    assert recent.get("made-up-0") is None


def test_the_first_parent_of_a_run_stays_also_once_others_were_heard_of() -> None:
    lineage = Lineage(runs_max=3)
    assert lineage.line("run", ("first",)) == ("run:run", "run:first")
    for number in range(3):
        lineage.line(f"{number}", ("above",))
    assert lineage.line("run", ("second",)) == ("run:run", "run:second", "run:first")


def test_runs_above_a_run_that_goes_on_calling_are_known_however_many_others_call() -> None:
    lineage = Lineage(runs_max=100)
    lineage.line("child", ("root",))
    for number in range(10_000):
        lineage.line(f"{number}", (f"above-{number}",))
        if number % 90 == 0:
            assert lineage.line("child") == ("run:child", "run:root")


def test_a_roots_kill_covers_a_limited_run_below_it_also_after_a_restart() -> None:
    before = limited_guard(Limit("run:*", "tokens", "run", 1_000_000))
    for run, parents in (("child", ("root",)), ("grandchild", ("child",))):
        assert before.check(Identity(agent="a", run=run, parents=parents), 100.0).allowed
    after = live_guard()
    after.restore(before.snapshot(), 101.0)
    after.restore_used(before.budget.used(101.0))
    after.apply("run:root", APPROVER.sign(command("run:root")), 101.0)
    assert after.check(Identity(agent="a", run="grandchild"), 101.0).denial is Denial.KILLED
