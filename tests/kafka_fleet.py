"""A made-up fleet for the tests of the service: its events, and what must follow from them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from kafka_service import PARTITIONS, hours_of

from alerts.decision import Action, Decision
from streams.backtest import replay_of
from streams.replay import Replay, batches
from streams.settings import Settings
from streams.simulate.plan import Plan, simulate

RUNAWAYS = ("loop", "snowball", "retry_storm", "fanout", "cold_start", "team_rise", "model_swap")


def fleet_lines(events: int, start_s: float, seed: int = 5) -> list[bytes]:
    """Return the first events of a fleet in which much goes wrong, as lines of JSON."""
    minutes = 90.0 if events <= 60_000 else 600.0
    agents = 30 if events <= 60_000 else 90
    plan = Plan(
        seed=seed, agents=agents, minutes=minutes, start_s=start_s, runaways=RUNAWAYS, onset_min=20.0, episode_min=12.0
    )
    found = []
    for labelled in simulate(plan):
        found.append(msgspec.json.encode(labelled.event))
        if len(found) == events:
            return found
    raise ValueError(f"the plan has only {len(found)} events")


RUBBISH = (
    b"not JSON",
    b'{"event_id": "cut off',
    b'{"event_id": "no-agent", "ts": 1.0, "agent": "", "model": "gpt-4o", "input_tokens": 1, "output_tokens": 1}',
    b'{"event_id": "no-time", "agent": "agent-1", "model": "gpt-4o", "input_tokens": 1, "output_tokens": 1}',
)


def spoiled(lines: Iterable[bytes], every: int = 100) -> list[bytes]:
    """Return the lines with a line of rubbish after each `every`th."""
    found = []
    for number, line in enumerate(lines, 1):
        found.append(line)
        if number % every == 0:
            found.append(RUBBISH[number // every % len(RUBBISH)])
    return found


def replayed(settings: Settings, lines: Iterable[bytes], at_once: int = 1_777) -> tuple[Replay, list[Decision]]:
    """Return the engines after the same events without Kafka, and their decisions."""
    replay = replay_of(settings, PARTITIONS)
    decisions = [d for batch in batches(lines, at_once) for d in replay.feed(batch)]
    return replay, [d for d in decisions if d.action is not Action.OBSERVE]


def hours_by_hand(lines: Iterable[bytes]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return calls and tokens by agent and hour, each event id once; shares no code with the engine."""
    seen, totals = set(), defaultdict[tuple[str, int], Counter[str]](Counter)
    for line in lines:
        event = {} if line in RUBBISH else msgspec.json.decode(line)
        if not event or event["event_id"] in seen:
            continue
        seen.add(event["event_id"])
        hour = int(min(event["ts"], event["ingest_ts"])) // 3600 * 3600
        totals[event["agent"], hour].update(calls=1, tokens=event["input_tokens"] + event["output_tokens"])
    return {key: (total["calls"], total["tokens"]) for key, total in totals.items()}


def hours_replayed(replay: Replay) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Return calls, tokens and micro-dollars by agent and hour of all shards."""
    return hours_of({name: row for engine in replay.engines for name, row in engine.rows.agents.items()})


def by_scope(decisions: Iterable[Decision]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what was decided of each scope, in order."""
    found = defaultdict[str, list[tuple[Any, ...]]](list)
    for d in decisions:
        found[d.scope].append((str(d.action), d.detector, d.at_s, d.incident_id, d.score, d.reason))
    return dict(found)


def kills(decisions: Iterable[Decision]) -> set[tuple[str, str]]:
    """Return the scopes that were killed, with the incident."""
    return {(d.scope, d.incident_id) for d in decisions if d.action is Action.KILL}
