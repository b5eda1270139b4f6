"""A whole team does more, though no member stands out."""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

from detectors.ceiling import CeilingMemory, ceiling_carried
from detectors.contract import CALM, SPEAK_FROM, Score, TeamMinute
from detectors.row import Memory, Row, zeros

SLOT_S: Final = 1800
_DAY: Final = 86_400 // SLOT_S
_KEPT: Final = 8 * _DAY
_WINDOW: Final = 8
_LEVEL: Final = _DAY // 4
MEMBERS_MAX: Final = 1000
"""A team's further members aren't learned: it is a row of half a kilobyte and more for each."""


class Member(Memory):
    """A member's calls by half hour over eight days (a ring), and how far it usually strays."""

    def __init__(self, slot: int = 0) -> None:
        self.ring = zeros(_KEPT)
        self.since = slot
        self.last = slot
        self.square = 0.3

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.ring = row.reals(self.ring)
        self.since = row.whole(self.since)
        self.last = row.whole(self.last)
        self.square = row.real(self.square)

    def calls(self, slot: int, slots: int) -> float:
        """Return the calls of `slots` half hours, the last of them `slot`."""
        ring, total = self.ring, 0.0
        for s in range(slot - slots + 1, slot + 1):
            total += ring[s % _KEPT]
        return total

    def turn(self, slot: int) -> None:
        """Empty the half hours since the last turn."""
        for s in range(max(self.last + 1, slot - _KEPT + 1), slot + 1):
            self.ring[s % _KEPT] = 0.0
        self.last = max(self.last, slot)

    def expected(self, slot: int) -> float | None:
        """Return the logarithm of what the window ending at `slot` usually holds, by time of day and by level."""
        days = min(7, (slot - self.since - _WINDOW) // _DAY)
        if days < 2:
            return None
        season = sum(log(self._around(slot - d * _DAY) + 1.0) for d in range(1, days + 1)) / days
        before = slot - _WINDOW
        whole = min(days, (before - _LEVEL - self.since) // _DAY)
        if whole < 1:
            return season
        level = log(self.calls(before, _LEVEL) + 1.0)
        past = sum(log(self.calls(before - d * _DAY, _LEVEL) + 1.0) for d in range(1, whole + 1)) / whole
        return season + 0.5 * max(-1.0, min(1.0, level - past))

    def _around(self, slot: int) -> float:
        """Return what a window ending at `slot` holds on the average, when it may be half an hour off."""
        return self.calls(slot + 1, _WINDOW + 2) * _WINDOW / (_WINDOW + 2)


class TeamMemory(Memory):
    """The members of a team, and what their latest window showed.

    `rise` and `weight` sum the members' rises, weighted by how steady each is; `square` is how far the team's own
    figure usually strays.
    """

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.slot = 0
        self.due = False
        self.rise = 0.0
        self.weight = 0.0
        self.regular = 0
        self.rising = 0
        self.square = 1.0
        self.since_s = 0.0
        self.told = False
        self.blocked_until_s = 0.0
        self.ceiling: CeilingMemory | None = None

    def carry(self, row: Row) -> None:
        """Name the fields."""
        for name in row.texts(list(self.members)):
            self.members.setdefault(name, Member()).carry(row)
        self.slot = row.whole(self.slot)
        self.due = row.flag(self.due)
        self.rise = row.real(self.rise)
        self.weight = row.real(self.weight)
        self.regular = row.whole(self.regular)
        self.rising = row.whole(self.rising)
        self.square = row.real(self.square)
        self.since_s = row.real(self.since_s)
        self.told = row.flag(self.told)
        self.blocked_until_s = row.real(self.blocked_until_s)
        self.ceiling = ceiling_carried(row, self.ceiling)


@dataclass(frozen=True)
class TeamRise:
    """Catches a rise that a whole team shares: each member a little above its usual at the same time.

    Each half hour, what every member did in the last four hours is compared with what it does at this time
    of the day. One member counts for no more than `member_max` (a logarithm), so a single busy one is not a team; and
    what the other teams show at the same time is divided out, so neither a deploy nor Monday morning is. It warns; it
    does not kill. Fooled by a rise that hits all teams alike, by teams of fewer than `members_min` regular members,
    and where members wander together from day to day.

    `bar`: deviations, by the team's own past, that would justify a kill. `calls_min`: calls expected in a window for
    a member to count.
    """

    bar: float = 2.6
    member_max: float = 0.5
    calls_min: float = 2.0
    members_min: int = 4
    most: float = 0.95

    def begin(self) -> TeamMemory:
        """Return a team without members."""
        return TeamMemory()

    def step(self, memory: TeamMemory, minute: TeamMinute) -> tuple[TeamMemory, Score]:
        """Count a minute; when a half hour is over weigh it, and judge it when the other teams have too."""
        slot = int(minute.start_s // SLOT_S)
        score = CALM
        if memory.due:
            memory.due = False
            score = self._judge(memory, minute)
        if slot != memory.slot:
            if memory.slot:
                self._weigh(memory)
                memory.due = True
            memory.slot = slot
            self._forget(memory)
        for agent, (calls, _, _) in minute.members.items():
            name = agent.partition("/")[0]
            member = memory.members.get(name)
            if member is None:
                if len(memory.members) >= MEMBERS_MAX:
                    continue
                member = memory.members[name] = Member(slot)
            member.turn(slot)
            member.ring[slot % _KEPT] += calls
        return memory, score

    def _forget(self, memory: TeamMemory) -> None:
        """Forget who was silent for eight days; where it is crowded, also who called at first only, a day ago."""
        slot, crowded = memory.slot, len(memory.members) >= MEMBERS_MAX
        for name, member in list(memory.members.items()):
            kept = member.calls(slot, _KEPT)
            once = crowded and slot - member.since > _DAY and kept == member.ring[member.since % _KEPT]
            if not kept or once:
                del memory.members[name]

    def _weigh(self, memory: TeamMemory) -> None:
        memory.rise = memory.weight = 0.0
        memory.regular = memory.rising = 0
        for member in memory.members.values():
            member.turn(memory.slot)
            expected = member.expected(memory.slot)
            if expected is None:
                continue
            apart = log(member.calls(memory.slot, _WINDOW) + 1.0) - expected
            if exp(expected) > self.calls_min:
                weight = 1.0 / max(0.02, member.square)
                memory.rise += weight * max(-self.member_max, min(self.member_max, apart))
                memory.weight += weight
                memory.regular += 1
                memory.rising += apart > 0.2
            member.square += 0.01 * (min(apart * apart, 2.25) - member.square)

    def _judge(self, memory: TeamMemory, minute: TeamMinute) -> Score:
        if memory.regular < self.members_min:
            return CALM
        rise, weight = minute.others
        apart = memory.rise / memory.weight - (rise / weight if weight else 0.0)
        sigmas = apart * sqrt(memory.weight)
        usual = sqrt(max(0.3, memory.square))
        memory.square += 0.01 * (min(sigmas * sigmas, 9.0 * memory.square) - memory.square)
        value = min(self.most, sigmas / usual / self.bar)
        if value < 0.4:
            memory.told = False
            memory.since_s = minute.now_s
        if value < SPEAK_FROM:
            return CALM
        reason = (
            f"{memory.rising} of {memory.regular} regular members are above their usual of the last four hours, "
            f"the team by {exp(apart) - 1.0:.0%} more than other teams"
        )
        return Score(value, reason, "team")


def rise_of(memory: TeamMemory) -> tuple[float, float]:
    """Return a team's weighted rise and weight, to be summed into the `others` of the other teams' next minute."""
    return memory.rise, memory.weight
