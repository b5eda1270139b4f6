"""Team totals: the order in which shards report changes nothing."""

import random

from alerts.policy import RuleBook, Rules
from detectors.judge import Judge
from streams.effects import WindowUsage
from streams.teams import TeamRecord, Teams
from streams.windows import HOUR_S, Usage


def stage() -> Teams:
    return Teams(RuleBook.same(Rules(shadow=False)), Judge(), 2, 300.0)


def records() -> list[TeamRecord]:
    found = []
    for minute in range(90):
        for shard in ("e/0", "e/1"):
            usage = [WindowUsage(f"a{shard}", minute * 60, 60, Usage(c, 100 * c, 10 * c)) for c in (1, 2, 3)]
            found.append(TeamRecord("t", shard, minute * 60.0, usage))
    return found


def test_totals_are_the_same_in_any_order_and_with_repeats() -> None:
    plain = stage()
    plain.merge(records())
    plain.merge([TeamRecord("", s, 2 * HOUR_S) for s in ("e/0", "e/1")])
    shuffled = records() * 2
    random.Random(1).shuffle(shuffled)
    other = stage()
    other.merge(shuffled)
    other.merge([TeamRecord("", s, 2 * HOUR_S) for s in ("e/0", "e/1")])

    assert other.rows["t"].hours == plain.rows["t"].hours
    assert plain.rows["t"].hours[0].usage() == Usage(360, 36_000, 3_600)


def test_a_minute_is_not_closed_before_every_shard_has_passed_it() -> None:
    teams = stage()
    teams.merge([TeamRecord("t", "e/0", 600.0, [WindowUsage("a", 0, 60, Usage(1, 1, 1))])])
    assert 0 in teams.rows["t"].minutes

    teams.merge([TeamRecord("", "e/1", 60.0)])
    assert teams.rows["t"].minutes == {}


def test_rows_survive_a_restart() -> None:
    teams = stage()
    teams.merge(records())
    rows = [(key, value) for key, value in teams.drain().items() if value is not None]
    again = stage()
    again.restore(rows)

    assert again.rows["t"].minutes == teams.rows["t"].minutes
    assert again.watermarks == teams.watermarks
