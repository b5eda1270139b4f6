"""Worker processes for the contract tests, and what Kafka says of them."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from waiting import DEADLINE_S, until

from streams.state import changelog_of
from streams.topics import TopicSpec, ensure_topics

SCRIPT = Path(__file__).parent / "kafka" / "worker_process.py"


class Worker:
    """A worker process and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def says(self, start: str, times: int = 1) -> None:
        async def said() -> bool:
            assert self.process.returncode is None or self.count(start) >= times, self.lines[-20:]
            return self.count(start) >= times

        try:
            await until(said)
        except TimeoutError:
            raise AssertionError(f"no {start!r} in time, only {self.lines[-20:]}") from None

    async def logs(self, text: str) -> None:
        """Wait until it has said `text` anywhere in a line."""

        async def said() -> bool:
            assert self.process.returncode is None, self.lines[-20:]
            return any(text in line for line in self.lines)

        try:
            await until(said)
        except TimeoutError:
            raise AssertionError(f"no {text!r} in time, only {self.lines[-20:]}") from None

    def count(self, start: str) -> int:
        return sum(line.startswith(start) for line in self.lines)

    async def end(self, how: signal.Signals) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.ended()

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), DEADLINE_S)
        await self._reading
        return code


async def read_records(client: Mapping[str, Any], topic: str, partitions: int) -> list[Any]:
    """Return all records of a topic, each partition in its order."""
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **client)
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found: list[Any] = []
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for some in (await consumer.getmany(timeout_ms=500)).values():
                found += some
        return found
    finally:
        await consumer.stop()


class Group:
    """A topic with its state and its workers; use it as a context, which ends the workers."""

    def __init__(self, kafka: str, partitions: int = 8) -> None:
        self.client = {"bootstrap_servers": kafka}
        self.partitions = partitions
        self.group = f"test-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.group}.events"
        self.workers: list[Worker] = []
        self.sent = [0] * partitions
        self.sums = [0] * partitions

    async def __aenter__(self) -> Self:
        changelog = TopicSpec(changelog_of(self.group), self.partitions, compacted=True)
        report = await ensure_topics(self.client, [TopicSpec(self.topic, self.partitions), changelog])
        assert report.findings == []
        self.producer = AIOKafkaProducer(max_batch_size=1 << 19, enable_idempotence=True, **self.client)
        self.admin = AIOKafkaAdminClient(**self.client)
        await self.producer.start()
        await self.admin.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self.workers:
            await worker.end(signal.SIGKILL)
        await self.producer.stop()
        await self.admin.close()

    async def produce(self, count: int, batch: int = 500) -> None:
        """Write events, `count` in all, evenly over the partitions; an event's value is unique."""
        pending = []
        for partition in range(self.partitions):
            left = count // self.partitions
            while left:
                builder, size = self.producer.create_batch(), min(left, batch)
                for _ in range(size):
                    value = self.sent[partition] * self.partitions + partition
                    assert builder.append(key=None, value=b"%d" % value, timestamp=None) is not None
                    self.sent[partition] += 1
                    self.sums[partition] += value
                left -= size
                pending.append(await self.producer.send_batch(builder, self.topic, partition=partition))
        await asyncio.gather(*pending)

    async def start(self, **options: object) -> Worker:
        """Start a worker process; `says("restored")` tells when it is ready."""
        arguments = [f"{name}={value}" for name, value in options.items()]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), self.client["bootstrap_servers"], self.group, self.topic),
            *(str(self.partitions), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.workers.append(Worker(process))
        return self.workers[-1]

    async def committed(self) -> list[int]:
        try:
            offsets = await self.admin.list_consumer_group_offsets(self.group)
        except GroupCoordinatorNotAvailableError:
            # A broker that has never had a group; nothing is committed there.
            return [0] * self.partitions
        found = {tp.partition: data.offset for tp, data in offsets.items() if tp.topic == self.topic}
        return [found.get(partition, 0) for partition in range(self.partitions)]

    async def all_committed(self) -> bool:
        return await self.committed() == self.sent

    async def end_of(self, topic: str) -> int:
        """Return the end offset of a topic's partition 0."""
        consumer = AIOKafkaConsumer(**self.client)
        await consumer.start()
        try:
            return int((await consumer.end_offsets([TopicPartition(topic, 0)]))[TopicPartition(topic, 0)])
        finally:
            await consumer.stop()

    async def totals(self) -> list[tuple[int, int, int]]:
        """Read the state's changelog: last offset applied, number of events and their sum, by partition."""
        rows = dict.fromkeys(range(self.partitions), (-1, 0, 0))
        for record in await read_records(self.client, changelog_of(self.group), self.partitions):
            if record.key == b"total":
                applied, count, value = record.value.split()
                rows[record.partition] = int(applied), int(count), int(value)
        return [rows[partition] for partition in range(self.partitions)]

    def expected(self) -> list[tuple[int, int, int]]:
        return [(sent - 1, sent, value) for sent, value in zip(self.sent, self.sums, strict=True)]
