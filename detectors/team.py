"""A whole team does more, though no member stands out."""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

from detectors.ceiling import CeilingMemory, ceiling_carried
from detectors.contract import CALM, SPEAK_FROM, Rises, Score, TeamMinute
from detectors.row import Memory, Row, floats, zeros

SLOT_S: Final = 1800
_DAY: Final = 86_400 // SLOT_S
_KEPT: Final = 8 * _DAY
_SPANS: Final = (2, 3, 6, 12)
_SHOWN: Final = 2
_LEVEL: Final = _DAY // 4
MEMBERS_MAX: Final = 1000
"""A team's further members aren't learned: it is a row of half a kilobyte and more for each."""


class Member(Memory):
    """A member's calls by half hour over eight days (a ring), and how far each span of them usually strays."""

    def __init__(self, slot: int = 0) -> None:
        self.ring = zeros(_KEPT)
        self.since = slot
        self.last = slot
        self.squares = floats(*[0.3] * len(_SPANS))

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.ring = row.reals(self.ring)
        self.since = row.whole(self.since)
        self.last = row.whole(self.last)
        self.squares = row.reals(self.squares)

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

    def expected(self, slot: int, span: int) -> float | None:
        """Return the logarithm of what the span ending at `slot` usually holds, by time of day and by level."""
        days = min(7, (slot - self.since - span) // _DAY)
        if days < 2:
            return None
        season = sum(log(self._around(slot - d * _DAY, span) + 1.0) for d in range(1, days + 1)) / days
        before = slot - span
        whole = min(days, (before - _LEVEL - self.since) // _DAY)
        if whole < 1:
            return season
        level = log(self.calls(before, _LEVEL) + 1.0)
        past = sum(log(self.calls(before - d * _DAY, _LEVEL) + 1.0) for d in range(1, whole + 1)) / whole
        return season + 0.5 * max(-1.0, min(1.0, level - past))

    def _around(self, slot: int, span: int) -> float:
        """Return what a span ending at `slot` holds on the average, when it may be an hour off."""
        return self.calls(slot + 2, span + 4) * span / (span + 4)


class TeamMemory(Memory):
    """The members of a team, and what each of the latest spans showed.

    `rises` and `weights` sum the members' rises, weighted by how steady each is, `regulars` counts those members and
    `rising` those of them that are above their usual; `squares` is how far the team's own figure usually strays.
    """

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.slot = 0
        self.due = False
        self.rises = zeros(len(_SPANS))
        self.weights = zeros(len(_SPANS))
        self.regulars = zeros(len(_SPANS))
        self.squares = floats(*[1.0] * len(_SPANS))
        self.rising = zeros(len(_SPANS))
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
        self.rises = row.reals(self.rises)
        self.weights = row.reals(self.weights)
        self.regulars = row.reals(self.regulars)
        self.squares = row.reals(self.squares)
        self.rising = row.reals(self.rising)
        self.since_s = row.real(self.since_s)
        self.told = row.flag(self.told)
        self.blocked_until_s = row.real(self.blocked_until_s)
        self.ceiling = ceiling_carried(row, self.ceiling)


@dataclass(frozen=True)
class TeamRise:
    """Catches a rise that a whole team shares: each member a little above its usual at the same time.

    Each half hour, what every member did in the last hour, one and a half, three and six hours is compared with
    what it does at this time of the day, and the four are averaged. One member counts for no more than `member_max` (a
    logarithm), and `share_min` of the regular ones must be above their usual, so a few busy ones are not a team; and
    what the other teams show at the same time is divided out, so neither a deploy nor Monday morning is. It warns; it
    does not kill. Fooled by a rise that hits all teams alike, by teams of fewer than `members_min` regular members, and
    where members wander together from day to day.

    `bar`: deviations, by the team's own past, that would justify a kill. `rising_log`: how far above its usual a member
    must be (a logarithm). `calls_min`: calls expected in a span for a member to count.
    """

    bar: float = 1.8
    member_max: float = 0.8
    rising_log: float = 0.3
    share_min: float = 0.35
    calls_min: float = 5.0
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
        for i in range(len(_SPANS)):
            memory.rises[i] = memory.weights[i] = memory.regulars[i] = memory.rising[i] = 0.0
        for member in memory.members.values():
            member.turn(memory.slot)
            for i in range(len(_SPANS)):
                self._weigh_span(memory, member, i)

    def _weigh_span(self, memory: TeamMemory, member: Member, i: int) -> None:
        span = _SPANS[i]
        expected = member.expected(memory.slot, span)
        if expected is None:
            return
        apart = log(member.calls(memory.slot, span) + 1.0) - expected
        if exp(expected) > self.calls_min:
            weight = 1.0 / max(0.02, member.squares[i])
            memory.rises[i] += weight * max(-self.member_max, min(self.member_max, apart))
            memory.weights[i] += weight
            memory.regulars[i] += 1.0
            memory.rising[i] += 1.0 if apart > self.rising_log else 0.0
        member.squares[i] += 0.02 * (min(apart * apart, 4.0) - member.squares[i])

    def _judge(self, memory: TeamMemory, minute: TeamMinute) -> Score:
        total, share, shown = 0.0, 0.0, 0.0
        for i in range(len(_SPANS)):
            if memory.regulars[i] < self.members_min:
                continue
            ours, (rise, theirs) = memory.weights[i], minute.others[i] if minute.others else (0.0, 0.0)
            apart = memory.rises[i] / ours - (rise / theirs if theirs else 0.0)
            sigmas = apart / sqrt(1.0 / ours + (1.0 / theirs if theirs else 0.0))
            square = memory.squares[i]
            memory.squares[i] = square + 0.01 * (min(sigmas * sigmas, 9.0 * square) - square)
            total += sigmas / sqrt(max(0.3, square))
            share += memory.rising[i] / memory.regulars[i]
            if i == _SHOWN:
                shown = apart
        value = total / len(_SPANS) / self.bar if share >= self.share_min * len(_SPANS) else 0.0
        if value < 0.4:
            memory.told = False
            memory.since_s = minute.now_s
        value = min(self.most, value)
        if value < SPEAK_FROM:
            return CALM
        rising, regulars = memory.rising[_SHOWN], memory.regulars[_SHOWN]
        reason = (
            f"{rising:.0f} of {regulars:.0f} regular members are above their usual of the last three hours, the team by"
            f" {exp(shown) - 1.0:.0%} more than other teams"
        )
        return Score(value, reason, "team")


def rise_of(memory: TeamMemory) -> Rises:
    """Return a team's weighted rise and weight by span, to be summed into the `others` of the other teams' minutes."""
    return tuple((memory.rises[i], memory.weights[i]) for i in range(len(_SPANS)))
