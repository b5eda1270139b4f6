"""The service as processes on a real Kafka: its settings, its input, and what it left behind."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError
from kafka_workers import Worker, read_records
from real_kafka import free_ports
from waiting import until

from alerts.decision import Decision
from alerts.gateway.wire import HEARTBEAT_KEY, Command
from detectors.row import unpack
from streams.assembly import keys_of
from streams.produce import FASTEST, Pace, produce, records
from streams.rows import AgentRow
from streams.settings import Settings
from streams.state import changelog_of
from streams.topology import prepare_topics

ROOT = Path(__file__).resolve().parent.parent
PARTITIONS = 4
FOREVER_H = 24 * 365 * 20


class Installation:
    """Topics, keys and workers of one installation; use it as a context, which ends the workers."""

    def __init__(self, kafka: str, folder: Path, **given: Any) -> None:
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self._folder = folder
        self._values: dict[str, Any] = {
            "kafka": {"bootstrap": kafka, "session_timeout_ms": 6_000},
            "topics": {
                "prefix": self.name,
                "partitions": PARTITIONS,
                "timestamp_type": "create",
                "retention_h": FOREVER_H,
            },
            "service": {"app_id": self.name, "data_dir": str(folder / self.name)},
            "mode": "armed",
            "logs": {"level": "info", "format": "text"},
            **given,
        }
        self.settings = Settings.model_validate(self._values)
        self.client = self.settings.kafka.client_kwargs()
        self.workers: list[Worker] = []
        self._given: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        self.settings.service.data_dir.mkdir(parents=True)
        _, self.trust = keys_of(self.settings)
        self.partitions = await prepare_topics(self.settings)
        self.partitions[self.changelog] = PARTITIONS
        self.admin = AIOKafkaAdminClient(**self.client)
        self.asking = AIOKafkaConsumer(**self.client)
        await self.admin.start()
        await self.asking.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self.workers:
            await worker.end(signal.SIGKILL)
        await self.asking.stop()
        await self.admin.close()

    @property
    def events(self) -> str:
        return self.settings.topics.event_topics[0]

    @property
    def changelog(self) -> str:
        return changelog_of(self.settings.service.app_id)

    def named(self, what: str) -> str:
        return self.settings.topics.named(what)

    async def produce(self, lines: Iterable[bytes], pace: Pace = FASTEST) -> None:
        """Write events, as fast as it goes unless told otherwise; a record's time is its `ingest_ts`."""
        await produce(records(lines), self.client, self.events, pace)

    def config(self, instance: str = "tool", **service: Any) -> Path:
        """Write the settings of a worker, or of a tool, and return the file."""
        file = self.file_of(instance)
        file.write_text(json.dumps({**self._values, "service": {**self._values["service"], **service}}))
        return file

    def file_of(self, instance: str) -> Path:
        """Return the settings file of a worker."""
        return self._folder / f"{self.name}-{instance}.yaml"

    def reconfigure(self, instance: str, **changes: Any) -> None:
        """Write the settings of a worker that runs anew, with changes of top-level keys."""
        service = {**self._values["service"], **self._given[instance]}
        self.file_of(instance).write_text(json.dumps({**self._values, "service": service, **changes}, indent=1))

    async def start(self, instance: str) -> "ServiceWorker":
        """Start `brakeline run`."""
        (port,) = free_ports(1)
        self._given[instance] = {"instance_id": instance, "web_port": port}
        config = self.config(instance, **self._given[instance])
        worker = ServiceWorker(await spawn("run", "--config", str(config)), port)
        self.workers.append(worker)
        return worker

    async def command(self, *arguments: str) -> str:
        """Run a command of `brakeline` to its end and return what it says; it has to exit with 0."""
        process = await spawn(*arguments, "--config", str(self.config()))
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def done(self, deadline_s: float = 60.0) -> None:
        """Wait until every stage has committed all that the stage before it has written."""
        for topic in (self.events, self.named("teams"), self.named("decisions")):

            async def committed(topic: str = topic) -> bool:
                return await self.lag(topic) == 0

            try:
                await until(committed, deadline_s)
            except TimeoutError:
                said = [worker.lines[-15:] for worker in self.workers if worker.process.returncode is None]
                raise AssertionError(f"{topic} is {await self.lag(topic)} behind: {said}") from None

    async def lag(self, topic: str) -> int:
        """Return how many records of a topic aren't committed."""
        return sum(await self.ends(topic)) - sum(await self.committed(topic))

    async def committed(self, topic: str) -> list[int]:
        try:
            offsets = await self.admin.list_consumer_group_offsets(self.settings.service.app_id)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
            offsets = {}  # A broker that has just started has no group yet.
        found = {tp.partition: data.offset for tp, data in offsets.items() if tp.topic == topic}
        return [max(0, found.get(partition, 0)) for partition in range(self.partitions[topic])]

    async def ends(self, topic: str) -> list[int]:
        tps = [TopicPartition(topic, partition) for partition in range(self.partitions[topic])]
        found = await self.asking.end_offsets(tps)
        return [found[tp] for tp in tps]

    async def read(self, topic: str, partitions: int) -> list[Any]:
        """Return all records of a topic, each partition in its order."""
        return await read_records(self.client, topic, partitions)

    async def decisions(self) -> list[Decision]:
        """Return what was decided, in order; a decision may be there twice after a crash."""
        found = await self.read(self.named("decisions"), 1)
        return [msgspec.json.decode(record.value, type=Decision) for record in found]

    async def commands(self) -> list[Command]:
        """Return the signed commands that were written, in order."""
        found = await self.read(self.named("kills"), 1)
        key = HEARTBEAT_KEY.encode()
        signed = [self.trust.verify(r.value, r.key.decode()) for r in found if r.key != key]
        return [each.payload for each in signed if isinstance(each.payload, Command)]

    async def hours(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        """Return calls, tokens and micro-dollars by agent and hour, from the rows that a restart would read."""
        rows: dict[bytes, bytes | None] = {}
        for record in await self.read(self.changelog, PARTITIONS):
            rows[record.key] = record.value
        agents = {key[2:].decode(): value for key, value in rows.items() if key.startswith(b"a:") and value is not None}
        agents = {name: row for name, row in agents.items() if not name.startswith("~")}  # Those are sums.
        return hours_of({name: unpack(AgentRow(), row) for name, row in agents.items()})


async def spawn(*arguments: str) -> asyncio.subprocess.Process:
    """Start `brakeline` with arguments."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


class ServiceWorker(Worker):
    """A worker process with its web address."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        super().__init__(process)
        self.port = port

    async def up(self) -> None:
        """Wait until it answers."""

        async def answers() -> bool:
            try:
                return await self.metric("brakeline_config_last_reload_successful") == 1
            except OSError:
                return False

        await until(answers)

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        return sum((await asyncio.to_thread(self._scrape, name)).values())

    def _scrape(self, name: str) -> Counter[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as response:
            text = response.read().decode()
        found: Counter[str] = Counter()
        for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE):
            found[labels] += float(value)
        return found


def hours_of(agents: dict[str, AgentRow]) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Return calls, tokens and micro-dollars by agent and hour."""
    totals = {}
    for name, row in agents.items():
        ledger = row.ledger
        starts = {*ledger.hours, *ledger.late, *(minute // 3600 * 3600 for minute in ledger.minutes)}
        for start_s in starts:
            usage = ledger.hour_total(start_s)
            totals[name, start_s] = (usage.calls, usage.tokens, usage.micro_usd)
    return totals
