"""Tells the pages, on whichever worker, what this worker's shards see."""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.errors import KafkaError
from msgspec import msgpack

from streams.attribution import Attribution
from streams.engine import Engine
from streams.outlet import Message, Outlet, UndeliveredError
from streams.pulse import hours_of, pulses_of

PULSE_S = 2.0
SPEND_EVERY = 8
"""Pulses between two accounts of the hours' spend."""


class Broadcast:
    """Writes a pulse of every shard each 2 s, and the hours' spend each 16 s."""

    def __init__(self, engines: Mapping[tuple[str, int], Engine], outlet: Outlet, named: Mapping[str, str]) -> None:
        self._engines = engines
        self._outlet = outlet
        self._named = named

    async def run(self) -> None:
        """Tell until cancelled. Raises UndeliveredError or KafkaError; an hour that could not be told is told again."""
        turn = 0
        while True:
            await asyncio.sleep(PULSE_S)
            turn += 1
            await self.tell(spend=turn % SPEND_EVERY == 0)

    async def tell(self, *, spend: bool) -> None:
        """Write what is new; nothing where nothing is. What is lost of a pulse, its agents' next makes up for."""
        for (topic, partition), engine in list(self._engines.items()):
            shard = f"{topic}/{partition}"
            books = engine.rows.attribution
            hours = books.hours_changed() if spend else []
            messages = self._pulses(shard, engine) + self._hours(shard, books, hours)
            try:
                await self._outlet.send(messages)
            except (UndeliveredError, KafkaError):
                books.tell_again(hours)
                raise

    def _pulses(self, shard: str, engine: Engine) -> list[Message]:
        found = [] if engine.sightings is None else pulses_of(shard, engine.sightings, engine.rows)
        return [Message(self._named["pulse"], shard.encode(), msgpack.encode(pulse), 0) for pulse in found]

    def _hours(self, shard: str, books: Attribution, hours: Iterable[int]) -> list[Message]:
        topic = self._named["spend"]
        return [
            Message(topic, f"{shard}@{hour_s}#{number}".encode(), msgpack.encode(part), 0)
            for hour_s in hours
            for number, part in enumerate(hours_of(shard, books, hour_s))
        ]
