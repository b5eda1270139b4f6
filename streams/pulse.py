"""PURE: what a shard tells the pages about the last seconds, and the codec of both topics that carry it.

Counters are cumulative for their minute or hour and are merged by maximum, so that repeats after a crash, and a worker
that doesn't know yet that it lost a shard, change nothing.
"""

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, TypeVar

from msgspec import MsgspecError, Struct, field, msgpack

from detectors.state import family
from streams.attribution import Attribution, Payer, PayerKey, payer_of
from streams.rows import Rows
from streams.sightings import Sightings
from streams.windows import Usage

CALLS_A_RECORD = 10_000
PIECE = 400

Piece = TypeVar("Piece")


class AgentPulse(Struct, frozen=True, array_like=True):
    """An agent that called: who it is for, what is usual, and the micro-dollars of its latest minutes by their start.

    `usual_usd_per_min` is the mean over its active hours, `peak_usd_per_min` what its busiest minutes reach.
    """

    agent: str
    payer: Payer
    usual_usd_per_min: float = 0.0
    peak_usd_per_min: float = 0.0
    minutes: dict[int, int] = {}


class Scored(Struct, frozen=True, array_like=True):
    """What the judge said of a scope last; a value of 1 justifies a kill."""

    scope: str
    agent: str
    at_s: float
    value: float
    detector: str
    reason: str


class Calls(Struct, array_like=True):
    """Calls by the digest of their event id, as columns of packed integers (64, 16, 32 and 64 bits)."""

    payers: list[Payer] = []
    digests: bytes = b""
    payer: bytes = b""
    at_s: bytes = b""
    micro_usd: bytes = b""


class Pulse(Struct, array_like=True):
    """One record of the pulse topic; `at_s` is the shard's clock."""

    shard: str
    at_s: float
    agents: list[AgentPulse] = []
    scores: list[Scored] = []
    calls: Calls = field(default_factory=Calls)


class SpendHour(Struct, array_like=True):
    """One record of the spend topic: some payers' usage in one hour of one shard, so far."""

    shard: str
    hour_s: int
    usage: list[tuple[Payer, Usage]] = []


_pulses = msgpack.Decoder(Pulse)
_hours = msgpack.Decoder(SpendHour)


def decode_pulse(value: bytes | None) -> Pulse | None:
    """Read a record of the pulse topic; None if it can't be read."""
    try:
        return _pulses.decode(value or b"")
    except MsgspecError:
        return None


def decode_hour(value: bytes | None) -> SpendHour | None:
    """Read a record of the spend topic; None if it can't be read."""
    try:
        return _hours.decode(value or b"")
    except MsgspecError:
        return None


def digest_of(event_id: str) -> int:
    """Return the 64 bits by which a call is found again, the same in every process."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")


def reopened(sightings: Sightings, rows: Rows) -> None:
    """After a restart, have the open minutes told again: their last pulse may not have gone out."""
    for name, start_s in rows.open_minutes():
        sightings.active.setdefault(name, set()).add(start_s)


def pulses_of(shard: str, sightings: Sightings, rows: Rows) -> list[Pulse]:
    """Return what there is to tell, in records of less than a megabyte each, and begin anew."""
    agents = [_agent(name, starts, sightings, rows) for name, starts in sightings.active.items() if name in rows.agents]
    scores = [
        Scored(said.scope, agent, at_s, said.value, said.detector, said.reason)
        for at_s, agent, said in sightings.verdicts.values()
    ]
    told: list[dict[str, Any]] = [{"agents": part} for part in pieces(agents)]
    told += [{"scores": part} for part in pieces(scores)]
    told += [{"calls": part} for part in _packed(sightings.calls)]
    sightings.clear()
    return [Pulse(shard, rows.shard.now_s, **fields) for fields in told]


def _agent(name: str, starts: Iterable[int], sightings: Sightings, rows: Rows) -> AgentPulse:
    row = rows.agents.peek(name)
    key = sightings.payers.get(name)
    payer = Payer(row.team, environment=row.environment) if key is None else payer_of(key)
    known, usual, peak = rows.judge.agents, 0.0, 0.0
    if family(name) in known and (surge := known.peek(family(name)).surge) is not None:
        usual, peak = surge.usd_per_min()[1], surge.peak_usd_per_min()
    minutes = row.ledger.minutes
    return AgentPulse(name, payer, usual, peak, {s: minutes[s].micro_usd for s in starts if s in minutes})


def pieces(values: list[Piece]) -> list[list[Piece]]:
    """Cut a list into what fits a record, however long the names in it are."""
    return [values[first : first + PIECE] for first in range(0, len(values), PIECE)]


def _packed(calls: Iterable[tuple[str, PayerKey, float, int]]) -> Iterator[Calls]:
    numbers: dict[PayerKey, int] = {}
    columns = array("Q"), array("H"), array("I"), array("Q")
    for event_id, key, at_s, micro_usd in calls:
        if len(columns[0]) >= CALLS_A_RECORD or len(numbers) >= PIECE:
            yield _columns(numbers, columns)
            numbers, columns = {}, (array("Q"), array("H"), array("I"), array("Q"))
        row = digest_of(event_id), numbers.setdefault(key, len(numbers)), int(at_s), micro_usd
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if columns[0]:
        yield _columns(numbers, columns)


def _columns(numbers: Iterable[PayerKey], columns: "tuple[array[int], ...]") -> Calls:
    return Calls([payer_of(key) for key in numbers], *(column.tobytes() for column in columns))


def hours_of(shard: str, books: Attribution, hour_s: int) -> list[SpendHour]:
    """Return one hour of a shard, to be published piece by piece."""
    usage = [(payer_of(key), count.usage()) for key, count in books.hours[hour_s].items()]
    return [SpendHour(shard, hour_s, part) for part in pieces(usage)]
