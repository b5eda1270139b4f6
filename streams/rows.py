"""The state of one shard as rows: tables in memory, and which of them a batch has changed."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import msgpack

from alerts.policy import Blast, Standing
from detectors.judge import JudgeState
from detectors.row import Memory, Row, pack, unpack
from detectors.state import OF_AGENTS, OF_TEAMS
from detectors.table import Kept, Table
from streams.attribution import Attribution
from streams.caller import Caller
from streams.layout import Layout, fingerprints
from streams.usage import WindowUsage
from streams.windows import HOUR_S, MINUTE_S, Count, Ledger, window_of

OVERFLOW_AGENT: Final = "~overflow"
"""Not a name that an event can carry: agents beyond the cap are booked here and never judged."""
OTHERS: Final = "~others:"
"""Begins the name that a team hears of its agents by that it isn't told of one by one."""
MEMBERS_MAX: Final = 250
"""A team is told of so many agents of a shard by name, and of the sum of all others: its row has to stay writable."""

ACTIVE_S: Final = 86_400.0


class AgentRow(Kept):
    """What the engine itself keeps of an agent; the judge has a row of its own."""

    def __init__(self, team: str = "", first_s: float = 0.0) -> None:
        super().__init__(first_s)
        self.team = team
        self.first_s = first_s
        self.skew_s = 0.0
        self.overflow = False
        self.environment = ""
        self.unnamed = False
        self.ledger = Ledger()
        self.caller = Caller()

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.last_s = row.real(self.last_s)
        self.team = row.text(self.team)
        self.first_s = row.real(self.first_s)
        self.skew_s = row.real(self.skew_s)
        self.overflow = row.flag(self.overflow)
        self.environment = row.text(self.environment)
        self.unnamed = row.flag(self.unnamed)
        self.ledger.carry(row)


class ShardRow(Memory):
    """How far the shard has come: the last offset applied and the clock, with the kills done without a person.

    `active` are the agents seen in the last day, counted once an hour.
    """

    def __init__(self) -> None:
        self.offset = -1
        self.now_s = 0.0
        self.active = 0
        self.blast = Blast([])

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.offset = row.whole(self.offset)
        self.now_s = row.real(self.now_s)
        self.active = row.whole(self.active)
        self.blast = msgpack.decode(row.blob(msgpack.encode(self.blast)), type=Blast)


_LAYOUT: Final = fingerprints(
    {"a": (AgentRow, Ledger, Count), "b": (Count,), "j": (*OF_AGENTS, *OF_TEAMS), "o": (ShardRow,)}
)


class Rows:
    """All tables of a shard. `drain` returns the rows changed since the last call, ready to be written."""

    def __init__(self) -> None:
        self.shard = ShardRow()
        self.agents: Table[AgentRow] = Table(AgentRow)
        self.standings: dict[str, Standing] = {}
        self.watched: set[str] = set()
        """Scopes that are stopped or on probation, or were lately: derived from the standings."""
        self.judge = JudgeState()
        self.attribution = Attribution()
        self.overflow = AgentRow()
        self.overflow.overflow = True
        self.others: dict[str, AgentRow] = {}
        """What the teams' unnamed agents used, by `OTHERS` and the team."""
        self._members: dict[str, set[str]] = {}
        self.layout = Layout(_LAYOUT)
        self._standings_touched: set[str] = set()
        self._told: list[tuple[str, AgentRow, int, int, Count]] = []
        self._open: dict[int, set[str]] = {}

    def open_agent(self, agent: str, team: str, now_s: float) -> AgentRow:
        """Begin the row of an agent that was never seen."""
        row = AgentRow(team, now_s)
        self.agents[agent] = row
        row.unnamed = len(self._members.get(team, ())) >= MEMBERS_MAX
        self._name(agent, row)
        return row

    def _name(self, agent: str, row: AgentRow) -> None:
        if row.team and not row.unnamed:
            self._members.setdefault(row.team, set()).add(agent)

    def book(self, agent: str, row: AgentRow, at_s: float, tokens: int, micro_usd: int) -> None:
        """Count a call in its minute."""
        if row.unnamed:
            self.book(*self._others_of(row.team), at_s, tokens, micro_usd)
        count = row.ledger.add(at_s, tokens, micro_usd)
        if not count.fresh:
            start_s = window_of(at_s, MINUTE_S)
            name = self._mark(agent, row, start_s, MINUTE_S, count)
            self._open.setdefault(start_s, set()).add(name)

    def book_late(self, agent: str, row: AgentRow, at_s: float, tokens: int, micro_usd: int) -> None:
        """Count a call whose minute is closed."""
        if row.unnamed:
            self.book_late(*self._others_of(row.team), at_s, tokens, micro_usd)
        count = row.ledger.add_late(at_s, tokens, micro_usd)
        if not count.fresh:
            self._mark(agent, row, window_of(at_s, HOUR_S), HOUR_S, count)

    def _others_of(self, team: str) -> tuple[str, AgentRow]:
        name = OTHERS + team
        row = self.others.get(name)
        if row is None:
            row = self.others[name] = AgentRow(team)
        return name, row

    def _mark(self, agent: str, row: AgentRow, start_s: int, window_s: int, count: Count) -> str:
        count.fresh = True
        name = OVERFLOW_AGENT if row.overflow else agent
        self._touch(name, row)
        self._told.append((name, row, start_s, window_s, count))
        return name

    def standing(self, scope: str) -> Standing:
        """Return where a scope stands, to be changed in place."""
        self._standings_touched.add(scope)
        return self.standings.setdefault(scope, Standing())

    def close_minutes(self, watermark_s: float) -> None:
        """Fold the minutes that the watermark has passed into their hours."""
        for start_s in sorted(s for s in self._open if s + MINUTE_S <= watermark_s):
            for name in self._open.pop(start_s):
                row = self._row(name)
                if row is not None and row.ledger.advance(watermark_s):
                    self._touch(name, row)

    def open_minutes(self) -> Iterator[tuple[str, int]]:
        """Yield which agent called in which minute that is still open."""
        for start_s, names in self._open.items():
            for name in names:
                yield name, start_s

    def _row(self, name: str) -> AgentRow | None:
        if name == OVERFLOW_AGENT:
            return self.overflow
        return self.others[name] if name.startswith(OTHERS) else self.agents.get(name)

    def _touch(self, name: str, row: AgentRow) -> None:
        if name == OVERFLOW_AGENT or name.startswith(OTHERS):
            row.touched = True
        else:
            self.agents.touch(name, row)

    def evict(self, now_s: float, idle_s: float) -> None:
        """Forget agents that were silent for `idle_s`, unless something is in force against them."""
        for name in self.agents.idle_since(now_s - idle_s):
            standing = self.standings.get(f"agent:{name}")
            if standing is None or not standing.in_force(now_s):
                del self.agents[name]
        self._forget_members(now_s - ACTIVE_S)
        idle = [s for s, v in self.standings.items() if max(v.last_s, v.until_s or 0.0) < now_s - idle_s]
        for scope in [s for s in idle if not self.standings[s].in_force(now_s)]:
            del self.standings[scope]
            self._standings_touched.add(scope)
        self.judge.evict(now_s)
        self.attribution.evict(now_s)
        self.shard.active = sum(1 for name in self.agents if self.agents.last_s(name) > now_s - ACTIVE_S)

    def _forget_members(self, before_s: float) -> None:
        """Give the places of agents that were silent for a day, such as short-lived sub-agents, to others."""
        for team, names in list(self._members.items()):
            names -= {name for name in names if name not in self.agents or self.agents.last_s(name) < before_s}
            if not names:
                del self._members[team]

    def active_agents(self) -> int:
        """Return how many agents were seen lately: the base of the blast radius."""
        return max(self.shard.active, min(len(self.agents), 100))

    @property
    def changed(self) -> int:
        """About how many rows `drain` would return."""
        return self.agents.changed + self.judge.agents.changed + len(self.judge.touched)

    def minutes_changed(self) -> list[tuple[str, int]]:
        """Return which agent's usage of which minute `drain_usage` will give out."""
        return [
            (name, start_s)
            for name, _, start_s, window_s, _ in self._told
            if window_s == MINUTE_S and not name.startswith(OTHERS)
        ]

    def drain_usage(self) -> dict[str, list[WindowUsage]]:
        """Return the usage counters changed since the last call, by team."""
        teams: dict[str, list[WindowUsage]] = {}
        for name, row, start_s, window_s, count in self._told:
            count.fresh = False
            if row.team and not row.unnamed and (name in self.agents or name in self.others):
                teams.setdefault(row.team, []).append(WindowUsage(name, start_s, window_s, count.usage()))
        self._told = []
        return teams

    def drain(self) -> dict[bytes, bytes | None]:
        """Return the rows changed since the last call; None for a row that is gone."""
        rows: dict[bytes, bytes | None] = {}
        for name, value in self.agents.drain().items():
            rows[f"a:{name}".encode()] = value
        for name, row in ((OVERFLOW_AGENT, self.overflow), *self.others.items()):
            if row.touched:
                row.touched = False
                rows[f"a:{name}".encode()] = pack(row)
        for scope in self._standings_touched:
            standing = self.standings.get(scope)
            rows[f"p:{scope}".encode()] = None if standing is None else msgpack.encode(standing)
        for (table, key), value in self.judge.drain().items():
            rows[f"j:{table}:{key}".encode()] = value
        for key, value in self.attribution.drain():
            rows[f"b:{key}".encode()] = value
        rows[b"o:"] = pack(self.shard)
        self._standings_touched.clear()
        return self.layout.complete(rows)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the rows back that `drain` gave out, but for those that another release laid out otherwise."""
        judge: list[tuple[str, str, bytes]] = []
        for key, value in self.layout.readable(rows):
            kind, _, name = key.decode().partition(":")
            if kind == "a":
                self._restore_agent(name, value)
            elif kind == "p":
                self.standings[name] = msgpack.decode(value, type=Standing)
                self.watched.add(name)
            elif kind == "o":
                self.shard = unpack(ShardRow(), value)
            elif kind == "b":
                self.attribution.restore(name, value)
            else:
                table, _, row = name.partition(":")
                judge.append((table, row, value))
        self.judge.restore(judge)

    def _restore_agent(self, name: str, value: bytes) -> None:
        row: AgentRow = unpack(AgentRow(), value)
        if name == OVERFLOW_AGENT:
            self.overflow = row
        elif name.startswith(OTHERS):
            self.others[name] = row
        else:
            self._name(name, row)
            self.agents.restore(name, value)
        for start_s in row.ledger.minutes:
            self._open.setdefault(start_s, set()).add(name)
