"""A team of very many agents, or of made-up ones: its totals are right, and its row stays one that can be written."""

from collections import Counter, defaultdict

from feeding import T0_S, batch, engine, event

from alerts.policy import RuleBook, Rules
from detectors.contract import TeamMinute
from detectors.judge import Judge
from detectors.team import MEMBERS_MAX as LEARNED_MAX
from detectors.team import SLOT_S, TeamMemory, TeamRise
from streams.rows import MEMBERS_MAX, OTHERS
from streams.slices import SLICE_BYTES
from streams.teams import TeamRecord, Teams

AGENTS = MEMBERS_MAX + 300
HALF = AGENTS // 2


def calls(first: int, count: int, at_s: float) -> list[object]:
    return [event(n, at_s, agent=f"a{n % AGENTS}", team="t") for n in range(first, first + count)]


def test_a_team_hears_of_many_agents_by_name_and_of_all_others_in_sum() -> None:
    job = engine()

    effects = job.feed(batch(calls(0, 3 * AGENTS, T0_S), at_s=T0_S))

    told = {usage.agent: usage.usage.calls for usage in effects.teams["t"]}
    assert len(told) == MEMBERS_MAX + 1
    assert told[OTHERS + "t"] == 3 * (AGENTS - MEMBERS_MAX)
    assert sum(told.values()) == 3 * AGENTS


def test_a_restart_changes_neither_who_is_named_nor_any_total() -> None:
    first, told = engine(), defaultdict[str, int](int)
    effects = first.feed(batch(calls(0, AGENTS, T0_S), at_s=T0_S))
    again = engine()
    again.restore([(key, value) for key, value in effects.rows.items() if value is not None])

    more = again.feed(batch(calls(AGENTS, AGENTS, T0_S), at_s=T0_S, first=AGENTS))

    for usage in [*effects.teams["t"], *more.teams["t"]]:
        told[usage.agent] = max(told[usage.agent], usage.usage.calls)
    assert len(told) == MEMBERS_MAX + 1
    assert sum(told.values()) == 2 * AGENTS


def test_an_agent_that_was_silent_for_a_day_leaves_its_place_to_another() -> None:
    job = engine()
    job.feed(batch(calls(0, AGENTS, T0_S), at_s=T0_S))
    later_s = T0_S + 90_000

    job.feed(batch([event(AGENTS, later_s, agent="z", team="t")], first=AGENTS, at_s=later_s))
    effects = job.feed(batch([event(AGENTS + 1, later_s, agent="new", team="t")], first=AGENTS + 1, at_s=later_s))

    assert [usage.agent for usage in effects.teams["t"]] == ["new"]


def test_the_others_of_each_shard_are_summed() -> None:
    shards, teams = {f"e/{n}": engine() for n in range(2)}, Teams(RuleBook.same(Rules()), Judge(), 2, 300.0)

    for shard, job in shards.items():
        effects = job.feed(batch(calls(0, AGENTS, T0_S), at_s=T0_S))
        teams.merge([TeamRecord("t", shard, 0.0, effects.teams["t"])])

    (members,) = teams.rows["t"].minutes.values()
    others = {name: count.calls for name, count in members.items() if name.startswith(OTHERS)}
    assert list(others.values()) == [AGENTS - MEMBERS_MAX] * 2


def played(hours: int, made_up: int) -> TeamMemory:
    """Play a team of two regular members beside `made_up` new ones each half hour."""
    rise = TeamRise()
    memory = rise.begin()
    for slot in range(1, hours * 2):
        members = Counter({"x": 4, "y": 5, **{f"{slot}-{n}": 1 for n in range(made_up)}})
        counters = {name: (count, count, count) for name, count in members.items()}
        memory, _ = rise.step(memory, TeamMinute("t", slot * SLOT_S, slot * SLOT_S + 60, counters, (0.0, 0.0)))
    return memory


def test_made_up_members_fill_the_memory_to_its_bound_and_push_nobody_out() -> None:
    memory = played(hours=60, made_up=200)

    assert {"x", "y"} < memory.members.keys()
    assert len(memory.members) == LEARNED_MAX
    assert not any(name.startswith("1-") for name in memory.members), "who called once, a day ago, has made room"


def test_members_silent_for_eight_days_are_forgotten() -> None:
    memory = played(hours=24 * 9, made_up=1)

    assert len(memory.members) < 24 * 8 * 2 + 5


def test_the_row_of_a_team_with_too_many_members_needs_few_slices() -> None:
    teams = Teams(RuleBook.same(Rules()), Judge(), 1, 300.0)
    job = engine()
    for minute in range(5):
        at_s = T0_S + minute * 60
        effects = job.feed(batch(calls(minute * AGENTS, AGENTS, at_s), first=minute * AGENTS, at_s=at_s))
        teams.feed("e/0", effects.teams, at_s - 300)

    assert len(teams.drain()[b"t:t"] or b"") < SLICE_BYTES
