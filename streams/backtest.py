"""What the service would have done with events of the past, as if armed: the proof before arming."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from alerts.decision import Action, Decision
from detectors.judge import compiled
from detectors.state import family
from streams.assembly import agents_max, judge_of, prices_of, rules_of
from streams.effects import Counts
from streams.engine import Engine, EngineSettings
from streams.events import TokenEvent, decode
from streams.garbage import collect_seldom
from streams.history import History
from streams.kafka_range import KafkaRange
from streams.prices import Prices
from streams.records import RecordBatch
from streams.replay import Replay, batches, decision_line, open_lines
from streams.settings import Settings
from streams.teams import Teams

_DAY_S = 86_400.0
_DAY_MS = 86_400_000
Advance = Callable[[int, float], None]
SAID = (Action.WARN, Action.THROTTLE, Action.DOWNGRADE, Action.HOLD, Action.KILL)


class Planned(Struct, frozen=True):
    """A period that a person knows to be legitimate: a kill of a matching agent within it is false.

    `agents` are names, or "*" for all; times are Unix seconds.
    """

    start: float
    end: float
    agents: tuple[str, ...] = ("*",)

    def covers(self, decision: Decision) -> bool:
        """Tell whether a decision falls into this period."""
        named = "*" in self.agents or decision.evidence.agent in self.agents
        return named and self.start <= decision.at_s <= self.end


class Outcome(Struct):
    """What one configuration would have done."""

    decisions: list[Decision] = field(default_factory=list)
    history: History = field(default_factory=History)
    events: int = 0
    agent_days: int = 0
    cpu_s: float = 0.0

    def per_1000_agent_days(self, kills: int) -> float:
        """Return how many that is for each 1,000 days on which an agent made a call."""
        return 1000.0 * kills / max(1, self.agent_days)

    @property
    def kills(self) -> list[Decision]:
        """Return the kills, in order of time."""
        return [d for d in self.decisions if d.action is Action.KILL]


def replay_of(settings: Settings, shards: int = 1) -> Replay:
    """Return the engines and the team stage that `settings` ask for, armed."""
    rules = rules_of(settings, armed=True)
    engine = EngineSettings(rules=rules, agents_max=agents_max(settings, shards))
    engines = [Engine(engine, judge_of(settings), prices_of(settings)) for _ in range(shards)]
    stages = [Teams(rules, judge_of(settings), shards, engine.lateness_s) for _ in range(shards)]
    return Replay(engines, stages)


def run(
    settings: Settings, source: "str | KafkaRange", sink: "Sink", shards: int = 1, *, remember: bool = False
) -> Outcome:
    """Judge all events of a file (or "-") or of a range in Kafka, writing decisions as they fall.

    `remember` keeps what a report needs. From Kafka each partition is a shard.
    """
    if isinstance(source, KafkaRange):
        with source.open() as reading:
            replay = replay_of(settings, len(reading.shards))
            return _judge(settings, replay, replay.feed_placed, reading.batches(), sink, remember, reading.records)
    replay = replay_of(settings, shards)
    return _judge(settings, replay, replay.feed, by_day(batches(open_lines(source))), sink, remember)


def _judge(
    settings: Settings,
    replay: Replay,
    feed: Callable[[RecordBatch], list[Decision]],
    whole: Iterable[RecordBatch],
    sink: "Sink",
    remember: bool,
    records: int | None = None,
) -> Outcome:
    collect_seldom()
    outcome, prices, calendar = Outcome(), prices_of(settings), Calendar(replay)
    with _progress(records) as advance:
        for batch in whole:
            outcome.agent_days += calendar.turn(max(batch.timestamps_ms) / 1000)
            began = time.process_time()
            decisions = [d for d in feed(batch) if d.action in SAID]
            outcome.cpu_s += time.process_time() - began
            outcome.events += len(batch)
            if remember:
                _remember(outcome.history, batch, prices)
                outcome.decisions += decisions
            else:
                outcome.decisions += [d for d in decisions if d.action is Action.KILL]
            sink.write(decisions)
            advance(len(batch), batch.timestamps_ms[-1] / 1000)
    outcome.agent_days += calendar.today()
    _say_books(replay.counts, outcome, sink)
    return outcome


def _say_books(counts: Counts, outcome: Outcome, sink: "Sink") -> None:
    sink.say(
        f"{counts.consumed:,} events: {counts.accepted:,} judged, {counts.duplicate:,} duplicate, "
        f"{counts.late:,} late, {counts.quarantined.total():,} unusable; "
        f"{1e6 * outcome.cpu_s / max(1, outcome.events):.1f} us of CPU an event{'' if compiled() else ', not compiled'}"
    )
    for reason, number in counts.quarantined.most_common(5):
        sink.say(f"  unusable: {number:,} {reason}")


def by_day(whole: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
    """Cut batches where a day ends (UTC), so that a day can be looked at when it is over."""
    for batch in whole:
        times, start = batch.timestamps_ms, 0
        if times[0] // _DAY_MS != times[-1] // _DAY_MS:
            for end in range(1, len(times)):
                if times[end] // _DAY_MS > times[end - 1] // _DAY_MS:
                    yield batch.part(start, end)
                    start = end
        yield batch.part(start, len(times)) if start else batch


class Calendar:
    """Counts the agents (sub-agents belong to theirs) that made a call on a day, UTC, when the day is over."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._day = -1

    def turn(self, now_s: float) -> int:
        """Return the agents of the day before if a new one has begun."""
        day = int(now_s // _DAY_S)
        if day <= self._day:
            return 0  # A record's time may be nonsense.
        seen, self._day = self.today(), day
        return seen

    def today(self) -> int:
        """Return the agents of the day at hand so far."""
        if self._day < 0:
            return 0
        tables = [engine.rows.agents for engine in self._replay.engines]
        since_s = self._day * _DAY_S
        return len({family(name) for table in tables for name in table if table.last_s(name) >= since_s})


def _remember(history: History, batch: RecordBatch, prices: Prices) -> None:
    for value in batch.values:
        for event in decode(value):
            if isinstance(event, TokenEvent):
                history.add(event.agent, event.ts, prices.of(event.model, event.ts).micro_usd(event))


class Sink:
    """Where decisions and remarks go: JSON lines to a file, to "-" (standard output) or nowhere; remarks to stderr."""

    def __init__(self, target: str | None) -> None:
        self._stream: IO[bytes] | None = None
        if target == "-":
            self._stream = sys.stdout.buffer
        elif target is not None:
            self._stream = Path(target).open("wb")  # noqa: SIM115 - closed by `close`

    def write(self, decisions: Iterable[Decision]) -> None:
        """Write one line a decision."""
        if self._stream is not None:
            for decision in decisions:
                self._stream.write(msgspec.json.encode(decision_line(decision)) + b"\n")

    def say(self, text: str) -> None:
        """Tell the person."""
        sys.stderr.write(text + "\n")

    def close(self) -> None:
        """Flush, and close a file."""
        if self._stream is not None:
            self._stream.flush()
            if self._stream is not sys.stdout.buffer:
                self._stream.close()


@contextmanager
def _progress(total: int | None) -> Iterator["Advance"]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, done = bar.add_task("reading events"), 0

        def advance(records: int, now_s: float) -> None:
            nonlocal done
            done += records
            day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now_s))
            part = "" if total is None else f" of {total:,}"
            bar.update(task, description=f"{done:,}{part} events, up to {day} UTC")

        yield advance


def false_kills(kills: Iterable[Decision], planned: list[Planned]) -> list[Decision]:
    """Return the kills that fall into a planned period of their agent."""
    return [kill for kill in kills if any(period.covers(kill) for period in planned)]


def read_planned(path: Path | None) -> list[Planned]:
    """Read labels, a JSON object a line. Raises ValueError with the line's number."""
    if path is None:
        return []
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=Planned))
            except msgspec.MsgspecError as error:
                raise ValueError(f'{path}:{number}: {error}; write {{"start": s, "end": s, "agents": [..]}}') from None
    return found
