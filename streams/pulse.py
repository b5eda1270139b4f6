"""PURE: what a shard tells the pages about the last seconds, and the codec of both topics that carry it.

Counters are cumulative for their minute or hour and are merged by maximum, so that repeats after a crash, and a worker
that doesn't know yet that it lost a shard, change nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from msgspec import MsgspecError, Struct, field, msgpack
from numpy.typing import NDArray

from detectors.state import family
from detectors.verdict import Verdict
from streams.attribution import Attribution, Payer, PayerKey, payer_of
from streams.rows import Rows
from streams.sightings import SeenCalls, Sightings
from streams.spent import tracks_of
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
    """What the judge said of a scope last; a value of 1 justifies a kill.

    Of a run also when it began (Unix seconds) and what it and its sub-runs have spent until then.
    """

    scope: str
    agent: str
    at_s: float
    value: float
    detector: str
    reason: str
    began_s: float = 0.0
    spend_usd: float = 0.0


class Calls(Struct, array_like=True):
    """Calls as columns: their ids, a line each, then packed integers (16, 32 and 64 bits)."""

    payers: list[Payer] = []
    ids: bytes = b""
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


def reopened(sightings: Sightings, rows: Rows) -> None:
    """After a restart, have the open minutes told again: their last pulse may not have gone out."""
    sightings.moved(rows.open_minutes())


def pulses_of(shard: str, sightings: Sightings, rows: Rows) -> list[Pulse]:
    """Return what there is to tell, in records of less than a megabyte each, and begin anew."""
    agents = [_agent(name, starts, sightings, rows) for name, starts in sightings.active.items() if name in rows.agents]
    scores = [_scored(at_s, agent, said, rows) for at_s, agent, said in sightings.verdicts.values()]
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


def _scored(at_s: float, agent: str, said: Verdict, rows: Rows) -> Scored:
    kind, _, root = said.scope.partition(":")
    tracks = tracks_of(root, agent, rows.judge) if kind == "run" else []
    began_s = min((track.first_s for track in tracks), default=0.0)
    spend_usd = sum(track.spend_micro_usd for track in tracks) / 1e6
    return Scored(said.scope, agent, at_s, said.value, said.detector, said.reason, began_s, spend_usd)


def pieces(values: list[Piece]) -> list[list[Piece]]:
    """Cut a list into what fits a record, however long the names in it are."""
    return [values[first : first + PIECE] for first in range(0, len(values), PIECE)]


def _packed(seen: SeenCalls) -> Iterator[Calls]:
    """Cut calls into records of at most `CALLS_A_RECORD` calls and `PIECE` payers."""
    first = 0
    while first < len(seen.ids):
        numbers = seen.payer[first : first + CALLS_A_RECORD]
        if len(seen.payers) <= PIECE:
            named, payer = seen.payers, _column(numbers, np.uint16)
        else:
            named, payer = _renumbered(seen.payers, numbers)
        part = slice(first, first + len(payer))
        first += len(payer)
        at_s, micro_usd = _column(seen.at_s[part], np.uint32), _column(seen.micro_usd[part], np.uint64)
        payers = [payer_of(key) for key in named]
        yield Calls(payers, _lines(seen.ids[part]), payer.tobytes(), at_s.tobytes(), micro_usd.tobytes())


def _column(numbers: Any, kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Return a vector of 64-bit integers in another width, without an object for each."""
    return np.frombuffer(numbers, np.int64).astype(kind)


def _renumbered(payers: list[PayerKey], numbers: Iterable[int]) -> tuple[list[PayerKey], NDArray[Any]]:
    """Return the payers of as many calls as have at most `PIECE` of them, and which each of these calls has."""
    known: dict[int, int] = {}
    payer: list[int] = []
    for number in numbers:
        if len(known) >= PIECE and number not in known:
            break
        payer.append(known.setdefault(number, len(known)))
    return [payers[number] for number in known], np.array(payer, np.uint16)


def _lines(ids: list[str]) -> bytes:
    text = "\n".join(ids)
    if text.count("\n") >= len(ids):
        text = "\n".join(line_of(each) for each in ids)
    return text.encode("utf-8", "replace")


def line_of(event_id: str) -> str:
    """Return an id as it stands in its line."""
    return event_id.replace("\n", " ")


def hours_of(shard: str, books: Attribution, hour_s: int) -> list[SpendHour]:
    """Return one hour of a shard, to be published piece by piece."""
    usage = [(payer_of(key), count.usage()) for key, count in books.hours[hour_s].items()]
    return [SpendHour(shard, hour_s, part) for part in pieces(usage)]
