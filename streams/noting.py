"""What the metrics are told of: batches, decisions, obedience, and where things stand."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from alerts.apportion import Holding
from alerts.decision import Action, Decision
from alerts.incident import Outcome, severity
from alerts.incidents import Book
from streams.commander import Commander
from streams.effects import Counts, Effects
from streams.engine import Engine
from streams.metrics import Metrics
from streams.reload import Reading


def note_effects(metrics: Metrics, batches: Sequence[Effects]) -> None:
    """Count what batches of events brought."""
    books, spent = Counts(), Counter[str]()
    for effects in batches:
        books.add(effects.counts)
        for team, spend in effects.spend.items():
            spent[team] += spend.micro_usd
        metrics.unknown_price.inc(len(effects.unknown_models))
    metrics.add_books(books)
    metrics.agents_overflow.inc(sum(effects.overflows for effects in batches))
    for team, micro_usd in spent.items():
        metrics.spend_usd.labels(metrics.team(team)).inc(micro_usd / 1e6)
    metrics.clock_skew_s.set(max((skew_s for effects in batches for skew_s in effects.skew_s.values()), default=0.0))
    metrics.dedup_overflow.inc(sum(effects.forgotten_ids for effects in batches))


def note_decision(metrics: Metrics, decision: Decision, outcome: Outcome, now_s: float) -> None:
    """Count a decision, and how long it took to become a command."""
    metrics.decisions.labels(str(decision.action), "shadow" if decision.shadow else "armed").inc()
    if decision.action is Action.KILL and outcome.seq and decision.actor == "detector":
        metrics.event_to_kill_s.observe(max(0.0, now_s - decision.at_s))
    if decision.action is Action.HOLD and "a person has to decide" in decision.reason:
        metrics.blast_held.inc()


def note_shard(metrics: Metrics, name: str, engine: Engine, now_s: float) -> None:
    """Say how far one shard's clock is behind."""
    seen_s = engine.rows.shard.now_s
    metrics.watermark_delay_s.labels(name).set(max(0.0, now_s - seen_s) if seen_s else 0.0)


def note_control(metrics: Metrics, commander: Commander, book: Book, now_s: float) -> None:
    """Say what is in force, who obeys, and which incidents are open."""
    kinds: dict[str, float] = {}
    for command in commander.orders.active(now_s):
        kind = command.scope.partition(":")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    metrics.set_all(metrics.kills_active, kinds)
    coverage = commander.coverage
    troubled = coverage.troubles(now_s)
    metrics.set_all(metrics.gateways, {"live": len(coverage.live(now_s)) - len(troubled), "stale": len(troubled)})
    metrics.unconfirmed.set(commander.unconfirmed(now_s))
    for took_s in coverage.drain_times():
        metrics.obeyed_s.observe(took_s)
    open_now: dict[str, float] = {}
    for incident in book.incidents.values():
        if incident.active:
            open_now[severity(incident)] = open_now.get(severity(incident), 0) + 1
    metrics.set_all(metrics.incidents_open, open_now)
    if commander.beat_at_s:
        metrics.heartbeat_at_s.set(commander.beat_at_s)


def note_limits(metrics: Metrics, holdings: Iterable[Holding], open_calls: Mapping[str, int]) -> None:
    """Say how much of each limit every gateway holds."""
    metrics.limit_share.clear()
    metrics.limit_used.clear()
    for each in holdings:
        metrics.limit_share.labels(each.gateway, each.limit).set(each.share)
        metrics.limit_used.labels(each.gateway, each.limit).set(each.used)
    metrics.set_all(metrics.limit_open_calls, {gateway: float(calls) for gateway, calls in open_calls.items()})


def note_reading(metrics: Metrics, reading: Reading) -> None:
    """Say how the last reading of the settings went."""
    metrics.reloaded_at_s.set(reading.good_at_s)
    metrics.reload_ok.set(reading.ok)
    metrics.restart_needed.set(len(reading.needs_restart))
