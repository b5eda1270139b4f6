"""What is looked up beforehand says what looking at every limit would have said."""

from fnmatch import fnmatchcase
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from alerts.gateway.globs import says_of_all
from alerts.gateway.limits import Limit, Period
from alerts.gateway.lineage import Lineage
from alerts.gateway.plans import Plans

globs = st.sampled_from(
    ["*", "a*", "agent:*", "agent:a", "agent:a*", "agent:[ab]", "team:*", "team:t", "t*", "run:*", "run:r?", "*:a"]
)
names = st.text("abrt1", min_size=1, max_size=3)
periods: st.SearchStrategy[Period] = st.sampled_from(["hour", "run"])
limits = st.builds(Limit, globs, st.sampled_from(["tokens", "depth"]), periods, st.integers(1, 3))


@given(globs, st.sampled_from(["agent:", "team:", "run:"]), names)
def test_a_glob_that_says_the_same_of_all_says_it_of_each(glob: str, head: str, name: str) -> None:
    assert says_of_all(glob, head) in (None, fnmatchcase(head + name, glob))


@given(st.lists(limits, max_size=6), names, names, names)
def test_a_plan_holds_the_limits_that_match_and_of_two_alike_the_lower(
    given: list[Limit], agent: str, team: str, run: str
) -> None:
    plans, above = Plans(given), (f"agent:{agent}", f"team:{team}")
    for kind, scope, per, scopes in (
        ("agent", above[0], "hour", above[:1]),
        ("team", above[1], "hour", above[1:]),
        ("run", f"run:{run}", "run", (f"run:{run}", *above)),
    ):
        plan = plans.of(kind, scope, above)
        held = [each for each in given if each.per == per and any(fnmatchcase(s, each.scope) for s in scopes)]
        lowest = {name: min(each.amount for each in held if each.name == name) for name in {e.name for e in held}}
        depths = [each.amount for each in held if each.measure == "depth"]
        assert {r.name: r.limit.amount for r in plan.rules} == {
            name: amount for name, amount in lowest.items() if not name.startswith("depth/")
        }
        assert (plan.depth.limit.amount if plan.depth else None) == min(depths, default=None)


@given(st.lists(st.lists(names, min_size=1, max_size=4), max_size=8), st.lists(names, min_size=1, max_size=4))
def test_a_line_is_what_a_call_names_and_then_what_is_known_of_it(chains: list[list[str]], asked: list[str]) -> None:
    lineage, parent = Lineage(), dict[str, str]()
    for chain in [*chains, asked]:
        lineage.line(chain[0], tuple(chain[1:]))
        for below, above in pairwise(chain):
            if below == above:
                break
            parent.setdefault(below, above)

    expected = list(dict.fromkeys(asked))
    for known in tuple(expected):
        run = known
        while run in parent and parent[run] not in expected:
            run = parent[run]
            expected.append(run)
    assert lineage.line(asked[0], tuple(asked[1:])) == tuple(f"run:{run}" for run in expected)
