"""Events of a file through the engine, as fast as it goes: the same judgement as live, before arming."""

import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard
from msgspec import Struct

from alerts.decision import Action, Decision
from streams.effects import Counts
from streams.engine import Engine
from streams.events import decode
from streams.partitioner import partition_of
from streams.records import RecordBatch
from streams.teams import Teams
from streams.validation import Rejected

BATCH_RECORDS = 2_000


class _Clock(Struct):
    """The two times a line may carry; the rest is left to the engine."""

    ingest_ts: float | None = None
    ts: float | None = None


_clock = msgspec.json.Decoder(_Clock)


def open_lines(source: str) -> Iterator[bytes]:
    """Yield the lines of a JSON-lines file: plain, `.gz`, `.zst`, `.parquet`, or "-" for standard input."""
    if source == "-":
        yield from sys.stdin.buffer
        return
    path = Path(source)
    if path.suffix == ".parquet":
        yield from _parquet_lines(path)
        return
    with _open(path) as lines:
        yield from lines


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
        return io.BufferedReader(reader)
    return path.open("rb")


def _parquet_lines(path: Path) -> Iterator[bytes]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"{path}: reading parquet needs pyarrow: pip install pyarrow") from None
    with parquet.ParquetFile(path) as file:
        for part in file.iter_batches():
            for row in part.to_pylist():
                yield msgspec.json.encode({k: v for k, v in row.items() if v is not None})


def timestamp_ms(line: bytes, before_ms: int) -> int:
    """Return when the stream had this line: `ingest_ts`, else `ts`, else the time of the line before."""
    try:
        clock = _clock.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return before_ms
    at_s = clock.ingest_ts if clock.ingest_ts is not None else clock.ts
    return before_ms if at_s is None or not 0 <= at_s < 1e11 else round(at_s * 1000)


def batches(lines: Iterable[bytes], records: int = BATCH_RECORDS, topic: str = "file") -> Iterator[RecordBatch]:
    """Cut lines into record batches with offsets of their own; blank lines are skipped."""
    offset, before_ms = 0, 0
    values: list[bytes] = []
    times: list[int] = []
    for line in lines:
        value = line.strip()
        if not value:
            continue
        before_ms = timestamp_ms(value, before_ms)
        values.append(value)
        times.append(before_ms)
        if len(values) == records:
            yield RecordBatch(topic, 0, range(offset, offset + records), times, values)
            offset += records
            values, times = [], []
    if values:
        yield RecordBatch(topic, 0, range(offset, offset + len(values)), times, values)


class Replay:
    """The engines of all shards and the team stages behind them, driven by one stream of batches.

    Teams are spread over their stages as Kafka spreads them over the partitions of the teams topic.
    """

    def __init__(self, engines: list[Engine], teams: Sequence[Teams] = ()) -> None:
        self.engines = engines
        self.teams = teams
        self.counts = Counts()

    def feed(self, batch: RecordBatch) -> list[Decision]:
        """Return the decisions of one batch, in the order of their time; each event goes to its agent's shard."""
        return self._feed(self._split(batch))

    def feed_placed(self, batch: RecordBatch) -> list[Decision]:
        """Return the decisions of one batch of the shard that its `partition` names."""
        return self._feed([(batch.partition, batch)])

    def _feed(self, parts: Iterable[tuple[int, RecordBatch]]) -> list[Decision]:
        decisions: list[Decision] = []
        for shard, part in parts:
            effects = self.engines[shard].feed(part)
            self.counts.add(effects.counts)
            decisions += effects.decisions
            for number, stage in enumerate(self.teams):
                mine = {
                    t: u for t, u in effects.teams.items() if partition_of(t, len(self.teams), whole=True) == number
                }
                decisions += stage.feed(str(shard), mine, effects.watermark_s)
        return sorted(decisions, key=lambda d: d.at_s)

    def _split(self, batch: RecordBatch) -> Iterator[tuple[int, RecordBatch]]:
        if len(self.engines) == 1:
            yield 0, batch
            return
        parts: list[list[int]] = [[] for _ in self.engines]
        for i, value in enumerate(batch.values):
            parts[_shard_of(value, len(parts))].append(i)
        for shard, picks in enumerate(parts):
            if picks:
                yield (
                    shard,
                    RecordBatch(
                        batch.topic,
                        shard,
                        [batch.offsets[i] for i in picks],
                        [batch.timestamps_ms[i] for i in picks],
                        [batch.values[i] for i in picks],
                    ),
                )


def _shard_of(value: bytes | None, shards: int) -> int:
    events = decode(value)
    if not events or isinstance(events[0], Rejected):
        return 0
    return partition_of(events[0].agent, shards)


_ACTION_NAMES = {Action.WARN: "alert"}


def decision_line(decision: Decision) -> dict[str, Any]:
    """Return a decision as `backtest` prints it: "alert" is a warning, the rest keep their names."""
    return {
        "ts": decision.at_s,
        "scope": decision.scope,
        "action": _ACTION_NAMES.get(decision.action, str(decision.action)),
        "detector": decision.detector,
        "score": decision.score,
        "reason": decision.reason,
        "incident_id": decision.incident_id,
    }
