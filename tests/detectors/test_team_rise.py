"""A team that rises together is told of; a member, a deploy or a calm week is not."""

from random import Random

from calls import DAY_S, START_S

from detectors.contract import TeamMinute
from detectors.judge import Judge, TeamMemory, Verdict
from detectors.team import rise_of

MINUTE_S = 60
RISE_S = int(4.4 * DAY_S)


def poisson(random: Random, mean: float) -> int:
    count, left = 0, random.expovariate(1.0)
    while left < mean:
        count, left = count + 1, left + random.expovariate(1.0)
    return count


def week(risen: dict[str, float], everyone: float = 1.0, seed: int = 1) -> list[tuple[int, str, Verdict]]:
    """Play five days of two teams of eight; from `RISE_S` on, members do as much more as `risen` says."""
    random, judge, told = Random(seed), Judge(), []
    memories: dict[str, TeamMemory | None] = {"x": None, "y": None}
    for minute in range(0, int(4.8 * DAY_S), MINUTE_S):
        counters: dict[str, dict[str, tuple[int, int, int]]] = {"x": {}, "y": {}}
        for team, members in counters.items():
            for n in range(8):
                name = f"{team}{n}"
                more = (risen.get(name, 1.0) * everyone) if minute >= RISE_S else 1.0
                calls = poisson(random, 0.3 * (1 + n % 3) * more)
                if calls:
                    members[name] = (calls, 1000 * calls, 100 * calls)
        rises = {team: rise_of(memory) for team, memory in memories.items() if memory is not None}
        for team, members in counters.items():
            others = rises.get("y" if team == "x" else "x", ())
            start_s = START_S + minute
            memories[team], verdicts = judge.team_step(
                memories[team], TeamMinute(team, start_s, start_s + 60, members, others)
            )
            told += [(minute, team, v) for v in verdicts]
    return told


def test_a_team_that_does_sixty_percent_more_is_told_of_within_four_hours() -> None:
    told = week({f"x{n}": 1.6 for n in range(8)})

    assert [team for _, team, _ in told] == ["x"]
    assert told[0][0] - RISE_S < 4 * 3600
    assert told[0][2].alert_only
    assert "8 regular members" in told[0][2].reason


def test_a_rise_of_all_teams_is_no_teams() -> None:
    assert week({}, everyone=2.0) == []


def test_one_busy_member_is_not_a_team() -> None:
    assert week({"x2": 20.0}) == []


def test_two_busy_members_of_eight_are_not_a_team() -> None:
    assert week({f"x{n}": 6.0 for n in range(2)}) == []


def test_a_calm_week_is_silent() -> None:
    assert week({}, seed=3) == []
