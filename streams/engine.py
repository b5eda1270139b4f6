"""The pure engine of one shard: a batch of records in, effects out. Kafka, backtest and tests run this same code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mypy_extensions import i64

from alerts.policy import RuleBook, Rules
from detectors.judge import Judge
from streams.caller import Caller, hash_of_names, hash_of_run
from streams.decoding import all_of, only_of
from streams.duplicates import Seen, SeenIds
from streams.effects import Effects, Quarantined, Spend, WindowUsage
from streams.event import Event
from streams.obedience import Obedience
from streams.prices import Prices, UnitPrice, next_day_s
from streams.records import RecordBatch
from streams.rows import AgentRow, Rows
from streams.sentence import Sentence
from streams.sightings import Sightings
from streams.validation import Rejected, Validator
from streams.windows import HOUR_S, MINUTE_S

_DECODED_AT_ONCE: Final = 32
"""Decoding and judging each fill the processor's instruction cache: turn by turn, each would evict the other."""
_BODY: Final = (1 << 62) - 1
_TS_GRAINS: Final = float(1 << 22)
"""No two times of today differ by less than one of these in a second."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Bounds of one shard. A call is late once `lateness_s` behind the clock: counted, never judged."""

    rules: RuleBook = field(default_factory=lambda: RuleBook.same(Rules()))
    lateness_s: float = 300.0
    agents_max: int = 1_000_000
    agent_idle_s: float = 30 * 86_400.0


class Engine:
    """One partition of the events: its state, and the only code that changes it.

    The engine's clock is the records' timestamps, so the same records give the same effects however they are
    cut into batches, live or replayed.
    """

    def __init__(self, settings: EngineSettings, judge: Judge, prices: Prices) -> None:
        self.settings = settings
        self.rows = Rows()
        self.seen = SeenIds()
        self.sentence = Sentence(settings.rules, judge, self.rows)
        self._obedience = Obedience(self.rows)
        self.sightings: Sightings | None = None
        """Set by who wants to show what happens."""
        self._prices = prices
        self._prices_turn = 0
        self._validator = Validator()
        self._minute = 0
        self._remembered_s = 0.0

    def feed(self, batch: RecordBatch) -> Effects:
        """Apply the records that have not been applied yet and return what follows from them."""
        effects = self.apply(batch)
        effects.teams = self.drain_usage()
        effects.rows = self.rows.drain()
        return effects

    def drain_usage(self) -> dict[str, list[WindowUsage]]:
        """Return the usage counters changed since the last call, by team."""
        if self.sightings is not None:
            self.sightings.moved(self.rows.minutes_changed())
        return self.rows.drain_usage()

    def apply(self, batch: RecordBatch) -> Effects:
        """Do as `feed`, but leave what is to be drained from the rows, so that several batches are written as one."""
        effects = Effects()
        shard = self.rows.shard
        applied = shard.offset
        events: list[Event | None] = []
        at = 0
        for offset, timestamp_ms, value in zip(batch.offsets, batch.timestamps_ms, batch.values, strict=True):
            place = at % _DECODED_AT_ONCE
            if place == 0:
                events = [only_of(coming) for coming in batch.values[at : at + _DECODED_AT_ONCE]]
            at += 1
            if offset <= applied:
                continue
            append_s = timestamp_ms / 1000
            now_s = max(shard.now_s, append_s)
            shard.now_s = now_s
            if now_s >= self._minute + MINUTE_S:
                self._turn_minute(now_s)
            event = events[place]
            if event is not None:
                self._take(event, value, offset, append_s, now_s, effects)
            else:
                for found in all_of(value):
                    self._take(found, value, offset, append_s, now_s, effects)
            shard.offset = offset
        effects.forgotten_ids, self.seen.overflows = self.seen.overflows, 0
        effects.watermark_s = shard.now_s - self.settings.lateness_s
        return effects

    def reconfigure(self, rules: RuleBook, judge: Judge, prices: Prices) -> None:
        """Judge from the next batch on by these; all that is known stays."""
        self.sentence.reconfigure(rules, judge)
        self._prices = prices
        self._prices_turn += 1

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the rows of an earlier engine of this partition back."""
        self.rows.restore(rows)
        self._minute = int(self.rows.shard.now_s) // MINUTE_S * MINUTE_S
        self.sentence.arm()

    def remember(self, batch: RecordBatch) -> None:
        """Learn the ids of records that were applied before a restart, oldest first, and nothing else."""
        for timestamp_ms, value in zip(batch.timestamps_ms, batch.values, strict=True):
            self._remembered_s = max(self._remembered_s, timestamp_ms / 1000)
            for event in all_of(value):
                if isinstance(event, Event) and self._validator.check(event, timestamp_ms / 1000) is None:
                    self.seen.check(event.event_id, _body(event, None), self._remembered_s)

    def _take(
        self,
        event: Event | Rejected,
        value: bytes | None,
        offset: int,
        append_s: float,
        now_s: float,
        effects: Effects,
    ) -> None:
        counts = effects.counts
        counts.consumed += 1
        if isinstance(event, Event):
            row = self.rows.agents.get(event.agent)
            rejected = self._check(event, append_s, row)
            if rejected is None:
                known = self.seen.check(event.event_id, _body(event, row), now_s)
                if known is Seen.NEW:
                    self._accept(event, row or self._begin(event, now_s), append_s, now_s, effects)
                    return
                if known is Seen.DUPLICATE:
                    counts.duplicate += 1
                    return
                rejected = Rejected("id_conflict", f"event_id {event.event_id[:40]} came before with another body")
        else:
            rejected = event
        counts.quarantined[rejected.reason] += 1
        effects.quarantined.append(Quarantined(offset, rejected.reason, rejected.detail, value))

    def _check(self, event: Event, append_s: float, row: AgentRow | None) -> Rejected | None:
        if row is None:
            return self._validator.check(event, append_s)
        caller = row.caller
        if caller.is_of(event):
            # Equal strings, of which these have their hashes already, and are the keys that will be asked for.
            event.team, event.model = caller.team, caller.model
            rejected = self._validator.check_again(event, append_s, caller.run)
        else:
            rejected = self._validator.check(event, append_s)
            if rejected is None:
                self._validator.share_names(event)
                caller.learn(event)
        if rejected is None:
            caller.follow(event.run)
        return rejected

    def _accept(self, event: Event, row: AgentRow, append_s: float, now_s: float, effects: Effects) -> None:
        caller = row.caller
        price = self._price_of(event, caller, now_s)
        if not price.known:
            effects.unknown_models.add(event.model)
        listed = price.of_tokens(event.input_tokens, event.cached_tokens, event.cache_write_tokens, event.output_tokens)
        if not price.known and event.cost_usd:
            listed = round(event.cost_usd * 1e6)
        failed = event.status != "ok" and (event.status == "timeout" or event.status.startswith("error"))
        spend = 0 if failed else listed
        tokens = event.input_tokens + event.output_tokens
        _note(event, row, now_s, effects)
        at_s = min(event.ts, append_s)
        _add_spend(event.team, spend, effects)
        self.rows.attribution.book(caller, at_s, tokens, spend)
        if self.sightings is not None:
            self.sightings.saw(event.event_id, event.agent, caller, at_s, spend)
        if at_s < now_s - self.settings.lateness_s:
            effects.counts.late += 1
            self.rows.book_late(event.agent, row, at_s, tokens, spend)
            return
        effects.counts.accepted += 1
        self.rows.book(event.agent, row, at_s, tokens, spend)
        if row.overflow:
            effects.overflows += 1
            return
        event.now_s, event.at_s, event.failed = now_s, at_s, failed
        event.spend_micro_usd, event.list_micro_usd = spend, listed
        event.input_micro_usd_per_mtok = caller.input_price
        self.sentence.judge(event, row, effects)
        if self.rows.standings:
            self._obedience.look(event, event.gateway or "", effects)

    def _price_of(self, event: Event, caller: Caller, now_s: float) -> UnitPrice:
        price = caller.price
        if price is None or now_s >= caller.price_until_s or caller.price_turn != self._prices_turn:
            price = caller.price = self._prices.of(event.model, now_s)
            caller.price_until_s, caller.price_turn = next_day_s(now_s), self._prices_turn
            caller.input_price = price.input_micro_usd_per_mtok
        return price

    def _begin(self, event: Event, now_s: float) -> AgentRow:
        overflow = len(self.rows.agents) >= self.settings.agents_max
        row = self.rows.overflow if overflow else self.rows.open_agent(event.agent, event.team, now_s)
        self._validator.share_names(event)
        row.caller.learn(event)
        row.caller.follow(event.run)
        return row

    def _turn_minute(self, now_s: float) -> None:
        """Close what the watermark has passed, also of agents that went silent."""
        hour, self._minute = self._minute // HOUR_S, int(now_s) // MINUTE_S * MINUTE_S
        self.rows.close_minutes(now_s - self.settings.lateness_s)
        if self._minute // HOUR_S != hour:
            self.rows.evict(now_s, self.settings.agent_idle_s)


def _note(event: Event, row: AgentRow, now_s: float, effects: Effects) -> None:
    row.last_s = now_s
    if event.environment:
        row.environment = event.environment
    if event.ts > now_s:
        row.skew_s = event.ts - now_s
        effects.skew_s[event.agent] = row.skew_s


def _add_spend(team: str, micro_usd: int, effects: Effects) -> None:
    of_team = effects.spend.get(team)
    if of_team is None:
        of_team = effects.spend[team] = Spend()
    of_team.micro_usd += micro_usd


def _body(event: Event, row: AgentRow | None) -> i64:
    """Return a hash of what an event says, in 62 bits; the row of its agent knows that of its names."""
    if row is None:
        names = hash_of_names(event) ^ hash_of_run(event.run)
    else:
        names = row.caller.names_hash ^ row.caller.run_hash
    at: i64 = int(event.ts * _TS_GRAINS)
    sent: i64 = event.input_tokens
    answered: i64 = event.output_tokens
    return (names ^ at ^ sent << 30 ^ answered) & _BODY
