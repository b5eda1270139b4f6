"""The team stage: cumulative counters of all shards, merged by maximum, closed minute by minute."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field, msgpack

from alerts.decision import Decision, Evidence
from alerts.policy import Blast, Breach, RuleBook, Standing, decide
from detectors.contract import TeamMinute
from detectors.judge import Judge, TeamMemory, Verdict
from detectors.team import rise_of
from streams.effects import WindowUsage
from streams.windows import HOUR_S, MINUTE_S, Usage

HOURS_KEPT = 26


class TeamRecord(Struct, frozen=True, array_like=True):
    """One record of the internal teams topic, keyed by team; a team of "" only carries a shard's watermark."""

    team: str
    shard: str
    watermark_s: float
    usage: list[WindowUsage] = []


class TeamRow(Struct, array_like=True):
    """What is known of one team: open minutes and late hours by agent, closed hours in sum."""

    minutes: dict[int, dict[str, Usage]] = {}
    late: dict[int, dict[str, Usage]] = {}
    hours: dict[int, Usage] = {}
    closed_s: int = 0
    standing: Standing = field(default_factory=Standing)
    memory: TeamMemory | None = None

    def merge(self, seen: WindowUsage) -> None:
        """Take a counter in; what belongs to a closed minute is counted, not judged."""
        if seen.window_s == MINUTE_S and seen.start_s >= self.closed_s:
            table = self.minutes.setdefault(seen.start_s, {})
        else:
            table = self.late.setdefault(seen.start_s // HOUR_S * HOUR_S, {})
        table.setdefault(seen.agent, Usage()).merge(seen.usage)

    def close(self, watermark_s: float) -> list[tuple[int, dict[str, Usage]]]:
        """Close the minutes that all shards have passed, oldest first."""
        closed = [(s, self.minutes[s]) for s in sorted(self.minutes) if s + MINUTE_S <= watermark_s]
        for start_s, members in closed:
            del self.minutes[start_s]
            self.closed_s = start_s + MINUTE_S
            hour = self.hours.setdefault(start_s // HOUR_S * HOUR_S, Usage())
            for usage in members.values():
                hour.plus(usage)
        for table in (self.hours, self.late):
            for start_s in [s for s in table if s < watermark_s - HOURS_KEPT * HOUR_S]:
                del table[start_s]
        return closed


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
                    row.merge(usage)
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

    def _judge_minute(
        self, team: str, start_s: int, members: dict[str, Usage], others: tuple[float, float]
    ) -> list[Decision]:
        row = self._row(team)
        now_s = start_s + MINUTE_S + self._lateness_s
        counters = {a: (u.calls, u.tokens, u.micro_usd) for a, u in members.items()}
        minute = TeamMinute(team, float(start_s), now_s, counters, others)
        row.memory, verdicts = self._judge.team_step(row.memory, minute)
        rules = self._rules.of(f"team:{team}", team)
        found = [decide(rules, row.standing, _breach(v, team), now_s, blast=Blast([]), agents=1) for v in verdicts]
        return [d for d in found if d is not None]

    def drain(self) -> dict[bytes, bytes | None]:
        """Return the rows changed since the last call, with the shards' watermarks."""
        rows: dict[bytes, bytes | None] = {f"t:{t}".encode(): msgpack.encode(self.rows[t]) for t in self._touched}
        rows[b"w:"] = msgpack.encode(self.watermarks)
        self._touched.clear()
        return rows

    def restore(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Take the rows back that `drain` gave out."""
        for key, value in rows:
            if key == b"w:":
                self.watermarks = msgpack.decode(value, type=dict[str, float])
            else:
                self.rows[key[2:].decode()] = msgpack.decode(value, type=TeamRow)


def _others(rises: Mapping[str, tuple[float, float]], team: str) -> tuple[float, float]:
    found = [rise for name, rise in rises.items() if name != team]
    return sum(rise for rise, _ in found), sum(weight for _, weight in found)


def _breach(verdict: Verdict, team: str) -> Breach:
    return Breach(
        scope=verdict.scope,
        value=verdict.value,
        detector=verdict.detector,
        reason=verdict.reason,
        window_start_s=verdict.window_start_s,
        alert_only=verdict.alert_only,
        evidence=Evidence(
            team=team,
            seen_usd_per_min=verdict.seen_usd_per_min,
            usual_usd_per_min=verdict.usual_usd_per_min,
            says=dict(verdict.says),
        ),
    )
