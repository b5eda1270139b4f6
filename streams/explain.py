"""The numbers behind a score, in plain words: what is usual, what was seen, which detector, which floor."""

from collections import deque
from collections.abc import Mapping, Sequence
from time import gmtime, strftime
from typing import Any

from msgspec import DecodeError, json

from alerts.decision import Decision
from alerts.policy import Rules
from detectors.contract import Call
from detectors.judge import Judge, JudgeState, Verdict
from detectors.state import Home
from streams.assembly import judge_of, prices_of, rules_of
from streams.compacted import read_compacted
from streams.engine import Engine, EngineSettings
from streams.records import RecordBatch
from streams.replay import batches, open_lines
from streams.rows import AgentRow
from streams.settings import Settings
from streams.windows import HOUR_S, Usage

SHOWN = 5


class Listener(Judge):
    """A judge that remembers what it said of one scope (of one agent: also of its runs)."""

    def __init__(self, judge: Judge, scope: str) -> None:
        super().__init__(judge.parameters)
        self._scope = scope
        self.heard: deque[tuple[float, Verdict]] = deque(maxlen=SHOWN)
        self.agent = scope.partition(":")[2] if scope.startswith("agent:") else ""

    def step(self, state: JudgeState, call: Call, home: Home | None = None) -> Sequence[Verdict]:
        """Judge as ever, and listen."""
        verdicts = super().step(state, call, home)
        if self._scope in (f"agent:{call.agent}", f"run:{call.run}"):
            self.agent = call.agent
            self.heard.extend((call.now_s, verdict) for verdict in verdicts)
        return verdicts


def explain(settings: Settings, scope: str, source: str | None, at_s: float | None) -> str:
    """Explain a scope from the events of a file up to `at_s`, or from the decisions in Kafka without a file.

    Raises ValueError when there is nothing about the scope.
    """
    if source is None:
        return _from_decisions(settings, scope, at_s)
    listener = Listener(judge_of(settings), scope)
    engine = Engine(EngineSettings(rules=rules_of(settings)), listener, prices_of(settings))
    for batch in batches(open_lines(source)):
        engine.feed(_until(batch, at_s))
        if at_s is not None and batch.timestamps_ms[-1] / 1000 > at_s:
            break
    row = engine.rows.agents.get(listener.agent)
    if row is None:
        raise ValueError(f"{scope}: no event of it in {source}; write agent:NAME or run:ID as they stand in the events")
    rules = rules_of(settings).of(scope, row.team, row.environment)
    return "\n".join(_lines(scope, listener, row, engine, rules))


def _until(batch: RecordBatch, at_s: float | None) -> RecordBatch:
    if at_s is None:
        return batch
    kept = sum(1 for t in batch.timestamps_ms if t / 1000 <= at_s)
    part = slice(0, kept)
    return RecordBatch(batch.topic, batch.partition, batch.offsets[part], batch.timestamps_ms[part], batch.values[part])


def _lines(scope: str, listener: Listener, row: AgentRow, engine: Engine, rules: Rules) -> list[str]:
    now_s = engine.rows.shard.now_s
    lines = [f"{scope} at {_clock(now_s)} (agent {listener.agent}, team {row.team or 'none'})"]
    lines += [f"  known since {_clock(row.first_s)}, last call {_clock(row.last_s)}"]
    lines += [f"  {name}: {_usage(usage)}" for name, usage in _spent(row, now_s).items()]
    if listener.heard:
        last = listener.heard[-1][1]
        lines.append(f"  usual: ${last.usual_usd_per_min:,.4f} a minute; seen: ${last.seen_usd_per_min:,.4f} a minute")
        lines += ["what the detectors said last:"]
        lines += [f"  {_clock(at_s)} {v.scope} {v.detector} {v.value:.2f}: {v.reason}" for at_s, v in listener.heard]
        lines += [f"    each: {', '.join(f'{n} {s:.2f}' for n, s in last.says.items())}"]
    else:
        lines.append("no detector has said anything: all is as usual")
    lines.append(
        f"the bars: alert at {rules.warn_at:g}, suspicious at {rules.hold_at:g}, kill at {rules.kill_at:g}; floors: "
        f"${rules.min_usd_per_min:g} or {rules.min_tokens_per_min:,.0f} tokens a minute, {rules.min_calls} calls"
    )
    lines += _bars(listener.bars_of(engine.rows.judge), engine.rows.judge.shard.calibration.agent_days)
    lines.append(f"where it stands: {_standing(scope, engine, now_s)}")
    others = dict.fromkeys(verdict.scope for _, verdict in listener.heard if verdict.scope != scope)
    return [*lines, *(f"  {other}: {_standing(other, engine, now_s)}" for other in others)]


def _standing(scope: str, engine: Engine, now_s: float) -> str:
    standing = engine.rows.standings.get(scope)
    return standing.action if standing and standing.in_force(now_s) else "nothing in force"


def _bars(bars: Mapping[str, float], agent_days: float) -> list[str]:
    times = ", ".join(f"{name} {bar:.2f} times its own" for name, bar in bars.items()) or "the detectors' own"
    return [f"bars by how near agents came to them in {agent_days:,.0f} agent-days: {times}"]


def _spent(row: AgentRow, now_s: float) -> Mapping[str, Usage]:
    minutes = row.ledger.minutes
    hour = int(now_s) // HOUR_S * HOUR_S
    return {
        "its latest minute": minutes[max(minutes)].usage() if minutes else Usage(),
        "this hour": row.ledger.hour_total(hour),
        "the hour before": row.ledger.hour_total(hour - HOUR_S),
    }


def _usage(usage: Usage) -> str:
    return f"{usage.calls:,} calls, {usage.tokens:,} tokens, ${usage.micro_usd / 1e6:,.4f}"


def _from_decisions(settings: Settings, scope: str, at_s: float | None) -> str:
    import asyncio

    found = asyncio.run(_decisions(settings, scope, at_s))
    if not found:
        raise ValueError(f"{scope}: no decision about it in Kafka; give --events FILE to judge events anew")
    lines = [f"the last decisions about {scope}:"]
    for each in found[-SHOWN:]:
        says = ", ".join(f"{name} {value:.2f}" for name, value in each.evidence.says.items())
        mode = " (shadow: would have)" if each.shadow else ""
        lines.append(f"  {_clock(each.at_s)} {each.action}{mode} by {each.detector or each.actor} at {each.score:.2f}")
        lines.append(f"    {each.reason}{f' [{says}]' if says else ''}")
        usual, seen = each.evidence.usual_usd_per_min, each.evidence.seen_usd_per_min
        lines.append(f"    usual ${usual:,.4f} a minute, seen ${seen:,.4f} a minute")
    return "\n".join(lines)


async def _decisions(settings: Settings, scope: str, at_s: float | None) -> list[Decision]:
    client: dict[str, Any] = settings.kafka.client_kwargs()
    values = await read_compacted(client, settings.topics.named("decisions"), by_offset=True)
    found = []
    for value in values.values():
        try:
            decision = json.decode(value or b"", type=Decision)
        except DecodeError:
            continue
        if decision.scope == scope and (at_s is None or decision.at_s <= at_s):
            found.append(decision)
    return found


def _clock(at_s: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(at_s))
