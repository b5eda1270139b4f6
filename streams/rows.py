"""The state of one shard as rows: tables in memory, and which of them a batch has changed."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field, msgpack

from alerts.policy import Blast, Standing
from detectors.judge import JudgeState
from streams.attribution import Attribution
from streams.effects import WindowUsage
from streams.windows import HOUR_S, MINUTE_S, Ledger, Usage

OVERFLOW_AGENT = "~overflow"
"""Not a name that an event can carry: agents beyond the cap are booked here and never judged."""

ACTIVE_S = 86_400.0


class AgentRow(Struct, array_like=True):
    """What the engine itself keeps of an agent; the judge has a row of its own."""

    team: str = ""
    first_s: float = 0.0
    last_s: float = 0.0
    skew_s: float = 0.0
    overflow: bool = False
    environment: str = ""
    ledger: Ledger = field(default_factory=Ledger)


class ShardRow(Struct, array_like=True):
    """How far the shard has come: the last offset applied and the clock, with the kills done without a person."""

    offset: int = -1
    now_s: float = 0.0
    active: int = 0
    """Agents seen in the last day, counted once an hour."""
    blast: Blast = field(default_factory=Blast)


_encode = msgpack.Encoder().encode


class Rows:
    """All tables of a shard. `drain` returns the rows changed since the last call, ready to be written."""

    def __init__(self) -> None:
        self.shard = ShardRow(blast=Blast([]))
        self.agents: dict[str, AgentRow] = {}
        self.standings: dict[str, Standing] = {}
        self.judge = JudgeState()
        self.attribution = Attribution()
        self.overflow = AgentRow(overflow=True, ledger=Ledger())
        self._agents_touched: set[str] = set()
        self._standings_touched: set[str] = set()
        self._usage: dict[tuple[str, int, int], Usage] = {}
        self._open: set[str] = set()

    def open_agent(self, agent: str, team: str, now_s: float) -> AgentRow:
        """Begin the row of an agent that was never seen."""
        row = self.agents[agent] = AgentRow(team, now_s, now_s, ledger=Ledger())
        return row

    def book(self, agent: str, row: AgentRow, at_s: float, tokens: int, micro_usd: int) -> None:
        """Count a call in its minute."""
        start_s = row.ledger.add(at_s, tokens, micro_usd)
        self._mark(agent, row, start_s, MINUTE_S, row.ledger.minutes[start_s])

    def book_late(self, agent: str, row: AgentRow, at_s: float, tokens: int, micro_usd: int) -> None:
        """Count a call whose minute is closed."""
        start_s = row.ledger.add_late(at_s, tokens, micro_usd)
        self._mark(agent, row, start_s, HOUR_S, row.ledger.late[start_s])

    def _mark(self, agent: str, row: AgentRow, start_s: int, window_s: int, usage: Usage) -> None:
        name = OVERFLOW_AGENT if row.overflow else agent
        self._agents_touched.add(name)
        self._usage[name, start_s, window_s] = usage
        self._open.add(name)

    def standing(self, scope: str) -> Standing:
        """Return where a scope stands, to be changed in place."""
        self._standings_touched.add(scope)
        return self.standings.setdefault(scope, Standing())

    def close_minutes(self, watermark_s: float) -> None:
        """Fold the minutes that the watermark has passed into their hours."""
        for name in list(self._open):
            ledger = self._row(name).ledger
            if ledger.advance(watermark_s):
                self._agents_touched.add(name)
            if not ledger.minutes:
                self._open.discard(name)

    def _row(self, name: str) -> AgentRow:
        return self.overflow if name == OVERFLOW_AGENT else self.agents[name]

    def evict(self, now_s: float, idle_s: float) -> None:
        """Forget agents that were silent for `idle_s`, unless something is in force against them."""
        for name in [n for n, r in self.agents.items() if r.last_s < now_s - idle_s]:
            standing = self.standings.get(f"agent:{name}")
            if standing is None or not standing.in_force(now_s):
                del self.agents[name]
                self._open.discard(name)
                self._agents_touched.add(name)
        for scope in [s for s, v in self.standings.items() if max(v.last_s, v.until_s or 0.0) < now_s - idle_s]:
            del self.standings[scope]
            self._standings_touched.add(scope)
        self.judge.evict(now_s)
        self.attribution.evict(now_s)
        self.shard.active = sum(1 for row in self.agents.values() if row.last_s > now_s - ACTIVE_S)

    def active_agents(self) -> int:
        """Return how many agents were seen lately: the base of the blast radius."""
        return max(self.shard.active, min(len(self.agents), 100))

    def drain_usage(self) -> dict[str, list[WindowUsage]]:
        """Return the usage counters changed since the last call, by team."""
        teams: dict[str, list[WindowUsage]] = {}
        for (name, start_s, window_s), usage in self._usage.items():
            row = self._row(name) if name in self.agents or name == OVERFLOW_AGENT else None
            if row is not None and row.team:
                copy = Usage(usage.calls, usage.tokens, usage.micro_usd)
                teams.setdefault(row.team, []).append(WindowUsage(name, start_s, window_s, copy))
        self._usage.clear()
        return teams

    def drain(self) -> dict[bytes, bytes | None]:
        """Return the rows changed since the last call; None for a row that is gone."""
        rows: dict[bytes, bytes | None] = {}
        for name in self._agents_touched:
            row = self.overflow if name == OVERFLOW_AGENT else self.agents.get(name)
            rows[f"a:{name}".encode()] = None if row is None else _encode(row)
        for scope in self._standings_touched:
            standing = self.standings.get(scope)
            rows[f"p:{scope}".encode()] = None if standing is None else _encode(standing)
        for (table, key), value in self.judge.drain().items():
            rows[f"j:{table}:{key}".encode()] = value
        for key, value in self.attribution.drain():
            rows[f"b:{key}".encode()] = value
        rows[b"o:"] = _encode(self.shard)
        self._agents_touched.clear()
        self._standings_touched.clear()
        return rows

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the rows back that `drain` gave out."""
        judge: list[tuple[str, str, bytes]] = []
        for key, value in rows:
            kind, _, name = key.decode().partition(":")
            if kind == "a":
                self._restore_agent(name, value)
            elif kind == "p":
                self.standings[name] = _decode(value, Standing)
            elif kind == "o":
                self.shard = _decode(value, ShardRow)
            elif kind == "b":
                self.attribution.restore(name, value)
            else:
                table, _, row = name.partition(":")
                judge.append((table, row, value))
        self.judge.restore(judge)

    def _restore_agent(self, name: str, value: bytes) -> None:
        row = _decode(value, AgentRow)
        if name == OVERFLOW_AGENT:
            self.overflow = row
        else:
            self.agents[name] = row
        if row.ledger.minutes:
            self._open.add(name)


def _decode(value: bytes, kind: type[Any]) -> Any:
    return msgpack.decode(value, type=kind)
