"""Tells the pages, on whichever worker, what this worker's shards see."""

import asyncio
from collections.abc import Mapping

from msgspec import msgpack

from streams.engine import Engine
from streams.outlet import Message, Outlet
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
        """Tell until cancelled. Raises UndeliveredError."""
        turn = 0
        while True:
            await asyncio.sleep(PULSE_S)
            turn += 1
            await self.tell(spend=turn % SPEND_EVERY == 0)

    async def tell(self, *, spend: bool) -> None:
        """Write what is new; nothing where nothing is."""
        for (topic, partition), engine in list(self._engines.items()):
            shard = f"{topic}/{partition}"
            messages = self._pulses(shard, engine)
            if spend:
                messages += self._hours(shard, engine)
            if messages:
                await self._outlet.send(messages)

    def _pulses(self, shard: str, engine: Engine) -> list[Message]:
        found = [] if engine.sightings is None else pulses_of(shard, engine.sightings, engine.rows)
        return [Message(self._named["pulse"], shard.encode(), msgpack.encode(pulse), 0) for pulse in found]

    def _hours(self, shard: str, engine: Engine) -> list[Message]:
        books, topic = engine.rows.attribution, self._named["spend"]
        return [
            Message(topic, f"{shard}@{hour_s}#{number}".encode(), msgpack.encode(part), 0)
            for hour_s in books.hours_changed()
            for number, part in enumerate(hours_of(shard, books, hour_s))
        ]
