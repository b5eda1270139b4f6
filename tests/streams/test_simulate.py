from collections import Counter
from itertools import islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from streams.event import Event
from streams.events import decode
from streams.simulate import LOOKALIKES, RUNAWAYS, Labelled, Plan, episodes, simulate
from streams.validation import Rejected, Validator

EVERYTHING = Plan(seed=3, agents=30, minutes=40, runaways=RUNAWAYS, lookalikes=LOOKALIKES)


def events_of(plan: Plan, episode_kind: str) -> list[Labelled]:
    (episode,) = [each for each in episodes(plan) if each.kind == episode_kind]
    return [each for each in simulate(plan) if each.episode == episode.id]


def test_the_same_seed_gives_the_same_events() -> None:
    first = [each.event for each in islice(simulate(EVERYTHING), 3_000)]

    assert first == [each.event for each in islice(simulate(EVERYTHING), 3_000)]
    assert first != [each.event for each in islice(simulate(Plan(seed=4)), 3_000)]


def test_every_event_is_accepted_by_the_service() -> None:
    validator = Validator()
    for each in simulate(EVERYTHING):
        (event,) = decode(msgspec.json.encode(each.event))
        assert not isinstance(event, Rejected)
        assert validator.check(Event(astuple(event)), each.event["ingest_ts"]) is None


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sets(st.sampled_from(RUNAWAYS), max_size=3))
def test_events_come_in_ingest_order_and_late_by_bounded_minutes(seed: int, agents: int, kinds: set[str]) -> None:
    plan = Plan(seed=seed, agents=agents, minutes=3, onset_min=1, runaways=tuple(sorted(kinds)))

    times = [(each.event["ingest_ts"], each.event["ts"]) for each in simulate(plan)]

    assert [ingest for ingest, _ in times] == sorted(ingest for ingest, _ in times)
    assert all(-61 <= ingest - ts <= 1_000 for ingest, ts in times)


@pytest.mark.parametrize("kind", RUNAWAYS)
def test_a_runaway_begins_at_its_onset_and_leaves_others_as_they_were(kind: str) -> None:
    plan = Plan(seed=5, agents=20, minutes=30, runaways=(kind,))
    (episode,) = episodes(plan)

    run_away = events_of(plan, kind)
    innocent = Counter(each.event["run_id"] for each in simulate(plan) if not each.episode)
    undisturbed = Counter(each.event["run_id"] for each in simulate(Plan(seed=5, agents=20, minutes=30)))

    assert run_away
    assert all(episode.start_s - 61 <= each.event["ts"] < episode.end_s + 61 for each in run_away)
    assert innocent.keys() <= undisturbed.keys()


def test_a_loop_repeats_one_call() -> None:
    hashes = Counter(each.event["prompt_hash"] for each in events_of(EVERYTHING, "loop"))
    assert len(hashes) == 1


def test_a_snowball_grows() -> None:
    sizes = [each.event["input_tokens"] for each in events_of(EVERYTHING, "snowball")]
    assert max(sizes) > 20 * min(sizes)


def test_a_fanout_spawns_agents_with_parents() -> None:
    events = [each.event for each in events_of(EVERYTHING, "fanout")]
    runs = {event["run_id"] for event in events}

    assert len({event["agent"] for event in events}) > 20
    assert {event["parent_run_id"] for event in events} - {None} <= runs


def test_a_retry_storm_fails() -> None:
    statuses = Counter(each.event["status"] for each in events_of(EVERYTHING, "retry_storm"))
    assert statuses["ok"] < statuses.total() / 10


def test_a_rising_team_rises_together() -> None:
    events = [each.event for each in events_of(EVERYTHING, "team_rise")]
    assert len({event["agent"] for event in events}) > 3
    assert len({event["team"] for event in events}) == 1


def test_some_events_come_twice_and_some_late() -> None:
    ids = Counter(each.event["event_id"] for each in simulate(EVERYTHING))
    late = [each for each in simulate(EVERYTHING) if each.event["ingest_ts"] - each.event["ts"] > 100]

    assert 0 < sum(times - 1 for times in ids.values()) < len(ids) / 100
    assert 0 < len(late) < len(ids) / 100


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="lop: no such kind; known: loop, "):
        Plan(runaways=("lop",))
