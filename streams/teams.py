"""The team stage: cumulative counters of all shards, merged by maximum, closed minute by minute."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import msgpack

from alerts.decision import Action, Decision, Evidence
from alerts.policy import Blast, Breach, RuleBook, Rules, Standing, decide, lapse, release
from alerts.probation import Leash, on_probation, used
from detectors.contract import CALM, Rises, TeamMinute
from detectors.judge import Judge, TeamMemory, Verdict
from detectors.row import Memory, Row, pack, unpack
from detectors.state import OF_TEAMS
from detectors.team import rise_of
from streams.layout import Layout, fingerprints
from streams.rows import OTHERS
from streams.usage import TeamRecord, WindowUsage
from streams.windows import HOUR_S, HOURS_KEPT, MINUTE_S, Count

__all__ = ["TeamRecord", "TeamRow", "Teams"]


class TeamRow(Memory):
    """What is known of one team: open minutes and late hours by agent, closed hours in sum.

    The judge's memory has a row of its own, as it is larger and changes once a minute.
    """

    def __init__(self) -> None:
        self.minutes: dict[int, dict[str, Count]] = {}
        self.late: dict[int, dict[str, Count]] = {}
        self.hours: dict[int, Count] = {}
        self.closed_s = 0
        self.standing = Standing()
        self.memory: TeamMemory | None = None

    def carry(self, row: Row) -> None:
        """Name the fields."""
        _carry_members(row, self.minutes)
        _carry_members(row, self.late)
        for start_s in row.wholes(list(self.hours)):
            self.hours.setdefault(start_s, Count()).carry(row)
        self.closed_s = row.whole(self.closed_s)
        self.standing = msgpack.decode(row.blob(msgpack.encode(self.standing)), type=Standing)

    def merge(self, seen: WindowUsage, shard: str) -> None:
        """Take a counter of a shard in; what belongs to a closed minute is counted, not judged."""
        start_s = seen.start_s
        if seen.window_s == MINUTE_S and start_s >= self.closed_s:
            table = self.minutes.setdefault(start_s, {})
        else:
            table = self.late.setdefault(start_s // HOUR_S * HOUR_S, {})
        # Each shard has its own agents, but all of them have others.
        agent = f"{OTHERS}/{shard}" if seen.agent.startswith(OTHERS) else seen.agent
        count = table.get(agent)
        if count is None:
            count = table[agent] = Count()
        count.merge(seen.usage)

    def close(self, watermark_s: float) -> list[tuple[int, dict[str, Count]]]:
        """Close the minutes that all shards have passed, oldest first."""
        closed = [(s, self.minutes[s]) for s in sorted(self.minutes) if s + MINUTE_S <= watermark_s]
        for start_s, members in closed:
            del self.minutes[start_s]
            self.closed_s = start_s + MINUTE_S
            hour = self.hours.setdefault(start_s // HOUR_S * HOUR_S, Count())
            for count in members.values():
                hour.plus(count)
        if closed:
            for start_s in [s for s in self.hours if s < watermark_s - HOURS_KEPT * HOUR_S]:
                del self.hours[start_s]
            for start_s in [s for s in self.late if s < watermark_s - HOURS_KEPT * HOUR_S]:
                del self.late[start_s]
        return closed


def _carry_members(row: Row, table: dict[int, dict[str, Count]]) -> None:
    for start_s in row.wholes(list(table)):
        members = table.setdefault(start_s, {})
        for name in row.texts(list(members)):
            members.setdefault(name, Count()).carry(row)


_LAYOUT: Final = fingerprints({"t": (TeamRow, Count), "m": OF_TEAMS})


class Teams:
    """All teams of one partition of the teams topic, with the shards' watermarks.

    A minute is judged once every shard has passed it, so the order in which shards report can't change a
    decision; it is judged as of the clock at which it could first be complete. `shards` is the number of source
    partitions.
    """

    def __init__(self, rules: RuleBook, judge: Judge, shards: int, lateness_s: float) -> None:
        self.rows: dict[str, TeamRow] = {}
        self.watermarks: dict[str, float] = {}
        self._rules = rules
        self._judge = judge
        self._shards = shards
        self._lateness_s = lateness_s
        self._touched: set[str] = set()
        self._judged: set[str] = set()
        self.layout = Layout(_LAYOUT)

    def reconfigure(self, rules: RuleBook, judge: Judge) -> None:
        """Judge by these from now on; all that is known stays."""
        self._rules, self._judge = rules, judge

    def feed(self, shard: str, teams: Mapping[str, list[WindowUsage]], watermark_s: float) -> list[Decision]:
        """Take the counters of one shard's batch in, by team; used where no topic lies between."""
        records = [TeamRecord(team, shard, watermark_s, usage) for team, usage in teams.items()]
        return self.merge([*records, TeamRecord("", shard, watermark_s)])

    def merge(self, records: Sequence[TeamRecord]) -> list[Decision]:
        """Merge records, close what is complete, and return the decisions that follow."""
        before_s = self._watermark()
        for record in records:
            self.watermarks[record.shard] = max(record.watermark_s, self.watermarks.get(record.shard, 0.0))
            if record.team:
                row = self._row(record.team)
                for usage in record.usage:
                    row.merge(usage, record.shard)
        now_s = self._watermark()
        return self._close(now_s) if now_s > before_s else []

    def _watermark(self) -> float:
        return min(self.watermarks.values()) if len(self.watermarks) >= self._shards else 0.0

    def _row(self, team: str) -> TeamRow:
        self._touched.add(team)
        row = self.rows.get(team)
        if row is None:
            row = self.rows[team] = TeamRow()
        return row

    def _close(self, watermark_s: float) -> list[Decision]:
        ready = [
            (start_s, team, members) for team, row in self.rows.items() for start_s, members in row.close(watermark_s)
        ]
        decisions: list[Decision] = []
        for start_s in sorted({start_s for start_s, _, _ in ready}):
            # What others did before this minute: so the order of the teams within it changes nothing.
            rises = {team: rise_of(row.memory) for team, row in self.rows.items() if row.memory is not None}
            for _, team, members in sorted((r for r in ready if r[0] == start_s), key=lambda r: r[1]):
                decisions += self._judge_minute(team, start_s, members, _others(rises, team))
        return decisions

    def _judge_minute(self, team: str, start_s: int, members: dict[str, Count], others: Rises) -> list[Decision]:
        row = self._row(team)
        now_s = start_s + MINUTE_S + self._lateness_s
        counters = {a: (u.calls, u.tokens, u.micro_usd) for a, u in members.items()}
        minute = TeamMinute(team, float(start_s), now_s, counters, others)
        self._judged.add(team)
        row.memory, verdicts = self._judge.team_step(row.memory, minute)
        rules = self._rules.of(f"team:{team}", team)
        breaches = [_breach(verdict, minute) for verdict in [*self._on_probation(row, rules, minute), *verdicts]]
        found = [decide(rules, row.standing, breach, now_s, blast=Blast([]), agents=1) for breach in breaches]
        return [d for d in found if d is not None]

    def _on_probation(self, row: TeamRow, rules: Rules, minute: TeamMinute) -> list[Verdict]:
        """Count a minute of a team on probation against the part of its limits that it may use."""
        standing, scope = row.standing, f"team:{minute.team}"
        lapse(rules, standing, minute.now_s)
        if standing.in_force(minute.now_s) or not on_probation(standing.trial, minute.now_s):
            return []
        leash = standing.leash = standing.leash or Leash()
        ceiling, run = self._judge.limits_of(scope)
        tokens, micro_usd = (sum(member[i] for member in minute.members.values()) for i in (1, 2))
        score = used(leash, ceiling, run, rules.probation, minute.start_s, tokens, micro_usd)
        if score is CALM:
            return []
        says = {"ceiling": score.value}
        return [Verdict(scope, "ceiling", score.value, False, score.reason, says, minute.start_s, sure=True)]

    def control(self, team: str, action: Action, now_s: float, until_s: float | None, *, planned: bool) -> None:
        """Take note of what a person did to a team."""
        row = self._row(team)
        if action is not Action.RELEASE:
            row.standing.action, row.standing.since_s, row.standing.until_s = action, now_s, until_s
            return
        if row.standing.in_force(now_s) or planned:
            release(self._rules.of(f"team:{team}", team), row.standing, now_s, planned=planned)
            if row.memory is not None:
                row.memory.ceiling = None

    def drain(self) -> dict[bytes, bytes | None]:
        """Return the rows changed since the last call, with the shards' watermarks."""
        rows: dict[bytes, bytes | None] = {f"t:{team}".encode(): pack(self.rows[team]) for team in self._touched}
        for team in self._judged:
            memory = self.rows[team].memory
            if memory is not None:
                rows[f"m:{team}".encode()] = pack(memory)
        rows[b"w:"] = msgpack.encode(self.watermarks)
        self._touched.clear()
        self._judged.clear()
        return self.layout.complete(rows)

    def restore(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Take the rows back that `drain` gave out, but for those that another release laid out otherwise."""
        for key, value in self.layout.readable(rows):
            kind, _, team = key.decode().partition(":")
            if kind == "w":
                self.watermarks = msgpack.decode(value, type=dict[str, float])
                continue
            row = self.rows.setdefault(team, TeamRow())
            if kind == "m":
                row.memory = unpack(TeamMemory(), value)
            else:
                unpack(row, value)


def _others(rises: Mapping[str, Rises], team: str) -> Rises:
    found = [rise for name, rise in rises.items() if name != team]
    return tuple((sum(r for r, _ in span), sum(w for _, w in span)) for span in zip(*found, strict=True))


def _breach(verdict: Verdict, minute: TeamMinute) -> Breach:
    usd_per_min = sum(micro_usd for _, _, micro_usd in minute.members.values()) / 1e6
    return Breach(
        scope=verdict.scope,
        value=verdict.value,
        detector=verdict.detector,
        reason=verdict.reason,
        window_start_s=verdict.window_start_s,
        alert_only=verdict.alert_only,
        sure=verdict.sure,
        tokens_per_min=float(sum(tokens for _, tokens, _ in minute.members.values())),
        evidence=Evidence(
            team=minute.team,
            calls=sum(calls for calls, _, _ in minute.members.values()),
            seen_usd_per_min=verdict.seen_usd_per_min or usd_per_min,
            usual_usd_per_min=verdict.usual_usd_per_min,
            says=dict(verdict.says),
        ),
    )
