"""A whole team does more, though no member stands out."""

from math import exp, log, sqrt
from typing import ClassVar

from msgspec import Struct

from detectors.contract import CALM, Score, TeamMinute, Watches
from detectors.drift import Season

SLOT_S = 1200
_SLOTS_A_DAY = 86_400 // SLOT_S


class Member(Struct, array_like=True, gc=False):
    """Calls in the open slot, and the season of a member."""

    season: Season
    calls: int = 0
    last_slot: int = 0


class TeamMemory(Struct, array_like=True):
    """The members of a team with their seasons, and the evidence that all of them do more."""

    members: dict[str, Member] = {}
    others: Member | None = None
    slot: int = 0
    above: float = 0.0
    since_s: float = 0.0
    told: bool = False
    blocked_until_s: float = 0.0
    ratio: float = 1.0
    rising: int = 0


class TeamRise(Struct, frozen=True):
    """Catches a rise that is shared by a team: each member a little above its usual at the same time.

    In slots of twenty minutes each member is compared with what is usual of it at that hour; a member counts for no
    more than `member_max` (a logarithm), so a single busy one is not a team, and what other teams do at the same
    time is divided out, so neither a deploy nor Monday morning is. It warns. Fooled by a rise that hits all teams
    alike, and by teams of fewer than `members_min` regular members.

    `bar`: the sum that would justify a kill if a team could be killed without a person.
    """

    name: ClassVar[str] = "team_rise"
    watches: ClassVar[Watches] = "team"
    memory_type: ClassVar[type[Struct]] = TeamMemory

    bar: float = 24.0
    slack: float = 0.8
    member_max: float = 1.0
    members_min: int = 4
    slots_min: int = 48
    most: float = 0.8

    def step(self, memory: TeamMemory, minute: TeamMinute) -> tuple[TeamMemory, Score]:
        """Count a minute; when a slot is over, weigh it."""
        slot = int(minute.start_s // SLOT_S)
        score = CALM
        if slot != memory.slot:
            if memory.slot:
                score = self._close(memory, minute.start_s)
            memory.slot = slot
        for agent, (calls, _, _) in minute.members.items():
            name = agent.partition("/")[0]
            member = memory.members.get(name)
            if member is None:
                member = memory.members[name] = Member(Season())
            member.calls += calls
            member.last_slot = slot
        if memory.others is None:
            memory.others = Member(Season())
        memory.others.calls += minute.others[0]
        return memory, score

    def _close(self, memory: TeamMemory, now_s: float) -> Score:
        hour = memory.slot * SLOT_S // 3600
        common = self._common(memory, hour)
        rises, weights, spread = 0.0, 0.0, 0.0
        memory.rising = 0
        for member in memory.members.values():
            usual = member.season
            log_calls = log(member.calls + 1.0)
            if usual.hours >= self.slots_min:
                expected = exp(log_calls - usual.residual(hour, log_calls))
                if expected > 1.7:
                    apart = usual.residual(hour, log_calls) - common
                    weight = 1.0 / max(0.35, usual.sd) ** 2
                    rises += weight * max(-self.member_max, min(self.member_max, apart))
                    weights += weight
                    spread += 1.0
                    memory.rising += apart > 0.2
            usual.learn(hour, log_calls, 1.0 if memory.above < 0.3 * self.bar else 0.2)
            member.calls = 0
        self._forget(memory)
        if spread < self.members_min:
            return CALM
        sigmas = rises / sqrt(weights)
        memory.ratio = exp(rises / weights)
        if memory.above <= 0.0:
            memory.since_s = now_s
        memory.above = min(1.5 * self.bar, max(0.0, memory.above + max(-4.0, min(4.0, sigmas)) - self.slack))
        value = min(self.most, memory.above / self.bar)
        reason = (
            f"{memory.rising} of {spread:.0f} regular members are above their usual, by {memory.ratio - 1.0:.0%} on "
            f"average for {(now_s - memory.since_s) / 60:.0f} min, while other teams are not"
        )
        return Score(value, reason, "team") if value >= 0.25 else CALM

    def _common(self, memory: TeamMemory, hour: int) -> float:
        others = memory.others
        if others is None or not others.calls:
            return 0.0
        log_calls = log(others.calls + 1.0)
        apart = others.season.residual(hour, log_calls) if others.season.hours >= self.slots_min else 0.0
        others.season.learn(hour, log_calls, 3.0)
        others.calls = 0
        return max(-0.7, min(1.0, apart))

    def _forget(self, memory: TeamMemory) -> None:
        gone = memory.slot - 14 * _SLOTS_A_DAY
        for name in [n for n, m in memory.members.items() if m.last_slot < gone]:
            del memory.members[name]
