"""The way out of whoever commands: Kafka itself lets only the latest holder of a name write."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from streams.lease import Lease
from streams.outlet import DELIVERY_S, Message, Outlet, UndeliveredError, sent
from streams.settings import Settings

OPEN_S, TRANSACTION_MS = 1.0, 10_000


class OutrankedError(Exception):
    """Another worker writes in this one's place now: this one slept while its partition moved."""


class FencedOutlet(Outlet):
    """An outlet that one worker has at a time: who starts one of the same name shuts out all that were started before.

    A lease can't do that: a worker may be frozen after it has looked at it. So all is written in transactions, whose
    broker refuses an earlier holder of the name (KIP-98). They serve for nothing else: a record counts as soon as it is
    in the log, and readers don't wait for its commit (`read_uncommitted`), so that a transaction which a crash left
    open holds up nobody. That of a heartbeat stays open for a moment: a kill needn't wait for one of its own.
    """

    def __init__(
        self, client: Mapping[str, Any], name: str, delivery_s: float = DELIVERY_S, lease: Lease | None = None
    ) -> None:
        options = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_MS}
        super().__init__({**client, **options}, delivery_s, lease)
        self._name = name
        self._lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._committing: asyncio.Task[None] | None = None
        self._is_open = False
        self._failure: Exception | None = None

    async def start(self) -> None:
        """Connect, and shut out whoever had the name. Raises UndeliveredError where Kafka has no transactions."""
        try:
            async with asyncio.timeout(self._delivery_s):
                await super().start()
        except TimeoutError:
            known = f"Kafka began no transactions for {self._name} within {self._delivery_s:.0f} s"
            mend = "have as many brokers as transaction.state.log.replication.factor, or set kafka.transactions: false"
            raise UndeliveredError(f"{known}: {mend}") from None

    async def stop(self) -> None:
        """End the transaction that is open, and close."""
        self._closing.set()
        if self._committing is not None:
            await self._committing
        await super().stop()

    async def send_placed(self, messages: Iterable[Message]) -> list[int]:
        """Write as `send` does and return the records' offsets. Raises OutrankedError besides."""
        try:
            async with asyncio.timeout(self._delivery_s):
                async with self._lock:
                    producer = self.admitted()
                    if self._failure is not None:
                        raise self._failure
                    await self._begin(producer)
                    acks = await sent(producer, messages)
                return [(await ack).offset for ack in acks]
        except TimeoutError:
            raise UndeliveredError(f"no acknowledgement within {self._delivery_s:.0f} s") from None
        except ProducerFenced:
            self._failure = self._outranked()
            raise self._failure from None

    async def _begin(self, producer: AIOKafkaProducer) -> None:
        if not self._is_open:
            await producer.begin_transaction()
            self._is_open = True
            self._committing = asyncio.create_task(self._commit_soon())

    async def _commit_soon(self) -> None:
        # Not ended by a cancellation: aiokafka can't be asked twice for the end of one transaction.
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_S):
                await self._closing.wait()
        await self._commit()

    async def _commit(self) -> None:
        """End the transaction; if that fails, so does whatever is sent next."""
        async with self._lock:
            if self._is_open and self._producer is not None and self._failure is None:
                try:
                    async with asyncio.timeout(self._delivery_s):
                        await self._producer.commit_transaction()
                except ProducerFenced:
                    self._failure = self._outranked()
                except (KafkaError, TimeoutError) as error:
                    self._failure = UndeliveredError(f"the transaction of {self._name} could not be ended: {error!r}")
            self._is_open = False

    def _outranked(self) -> OutrankedError:
        return OutrankedError(f"another worker writes as {self._name} now")


def commanding_outlet(settings: Settings, lease: Lease) -> Outlet:
    """Return the way out of the worker that commands: for commands, incidents and limits."""
    client = settings.kafka.client_kwargs()
    if not settings.kafka.transactions:
        return Outlet(client, lease=lease)
    return FencedOutlet(client, transactional_id(settings), lease=lease)


def transactional_id(settings: Settings) -> str:
    """Return the name that Kafka knows the commander by, whichever worker that is."""
    return f"{settings.service.app_id}.commander"
