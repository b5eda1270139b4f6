"""The way out of whoever commands: Kafka itself lets only the latest holder of a name write."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced
from msgspec import Struct

from streams.lease import Lease
from streams.outlet import DELIVERY_S, Message, Outlet, UndeliveredError, placed
from streams.settings import Settings

TRANSACTION_MS = 10_000


class OutrankedError(Exception):
    """Another worker writes in this one's place now: this one slept while its partition moved."""


class _Waiting(Struct, frozen=True):
    messages: list[Message]
    placed: "asyncio.Future[list[int]]"


class FencedOutlet(Outlet):
    """An outlet that one worker has at a time: who starts one of the same name shuts out all that were started before.

    A lease can't do that: a worker may be frozen after it has looked at it. So all is written in transactions, whose
    broker refuses an earlier holder of the name (KIP-98). They serve for nothing else: a record counts as soon as it is
    in the log, and readers don't wait for its commit (`read_uncommitted`), so that a transaction which its worker left
    open holds up nobody. What is sent at the same time shares one.
    """

    def __init__(
        self, client: Mapping[str, Any], name: str, delivery_s: float = DELIVERY_S, lease: Lease | None = None
    ) -> None:
        options = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_MS}
        super().__init__({**client, **options}, delivery_s, lease)
        self._name = name
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

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
        """Finish what is being written, and close."""
        if self._writing is not None:
            await self._writing
        await super().stop()

    async def send_placed(self, messages: Iterable[Message]) -> list[int]:
        """Write as `send` does and return the records' offsets. Raises OutrankedError besides."""
        waiting = _Waiting(list(messages), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        # A task of its own: a caller that is cancelled must not leave half a transaction behind.
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        return await waiting.placed

    async def _write_waiting(self) -> None:
        while self._waiting:
            parts, self._waiting = self._waiting, []
            try:
                offsets = iter(await self._transact([message for part in parts for message in part.messages]))
            except Exception as error:
                for part in parts:
                    if not part.placed.done():
                        part.placed.set_exception(error)
                continue
            for part in parts:
                found = [next(offsets) for _ in part.messages]
                if not part.placed.done():
                    part.placed.set_result(found)

    async def _transact(self, messages: list[Message]) -> list[int]:
        producer = self.admitted()
        try:
            async with asyncio.timeout(self._delivery_s):
                await producer.begin_transaction()
                try:
                    offsets = await placed(producer, messages)
                except ProducerFenced:
                    raise
                except KafkaError:
                    await producer.abort_transaction()
                    raise
                await producer.commit_transaction()
                return offsets
        except TimeoutError:
            raise UndeliveredError(f"no acknowledgement within {self._delivery_s:.0f} s") from None
        except ProducerFenced:
            raise OutrankedError(f"another worker writes as {self._name} now") from None


def commanding_outlet(settings: Settings, lease: Lease) -> Outlet:
    """Return the way out of the worker that commands: for commands, incidents and limits."""
    client = settings.kafka.client_kwargs()
    if not settings.kafka.transactions:
        return Outlet(client, lease=lease)
    return FencedOutlet(client, transactional_id(settings), lease=lease)


def transactional_id(settings: Settings) -> str:
    """Return the name that Kafka knows the commander by, whichever worker that is."""
    return f"{settings.service.app_id}.commander"
