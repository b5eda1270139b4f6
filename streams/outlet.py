"""The one way out to Kafka: an idempotent producer whose every write is awaited, or the process ends."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from msgspec import Struct

from streams.lease import Lease

DELIVERY_S = 30.0


class Message(Struct, frozen=True):
    """One record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    timestamp_ms: int | None = None


class UndeliveredError(Exception):
    """A write wasn't acknowledged in time: the process has to end before it acks what caused it."""


class Outlet:
    """Writes with `enable_idempotence` and `acks=all`; `send` returns when all of its records are acknowledged."""

    def __init__(self, client: Mapping[str, Any], delivery_s: float = DELIVERY_S, lease: Lease | None = None) -> None:
        """`client` are the arguments that every aiokafka client shares; nothing goes out when the `lease` is over."""
        self._options = dict(client)
        self._delivery_s = delivery_s
        self._lease = lease
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect."""
        producer = AIOKafkaProducer(
            enable_idempotence=True, acks="all", linger_ms=0, max_request_size=8 << 20, **self._options
        )
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(self, messages: Iterable[Message]) -> None:
        """Write all messages and wait for their acknowledgements.

        Raises UndeliveredError when one isn't acknowledged within the delivery deadline, LeaseError before anything
        is sent.
        """
        await self.send_placed(messages)

    async def send_placed(self, messages: Iterable[Message]) -> list[int]:
        """Write as `send` does and return the records' offsets."""
        producer = self.admitted()
        try:
            async with asyncio.timeout(self._delivery_s):
                return [(await ack).offset for ack in await sent(producer, messages)]
        except TimeoutError:
            raise UndeliveredError(f"no acknowledgement within {self._delivery_s:.0f} s") from None

    def admitted(self) -> AIOKafkaProducer:
        """Return the producer, if anything may go out."""
        if self._producer is None:
            raise UndeliveredError("the producer isn't started")
        if self._lease is not None:
            self._lease.check()
        return self._producer

    async def put(self, topic: str, key: str, value: bytes | None) -> None:
        """Write one record."""
        await self.send([Message(topic, key.encode(), value)])


async def sent(producer: AIOKafkaProducer, messages: Iterable[Message]) -> list["asyncio.Future[Any]"]:
    """Hand messages to a producer; each future is done when its record is acknowledged."""
    return [
        await producer.send(m.topic, m.value, m.key, partition=m.partition, timestamp_ms=m.timestamp_ms)
        for m in messages
    ]
