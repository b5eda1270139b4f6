"""The topics: what each must be like, and their creation. Nothing else of ours creates a topic."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct, structs

HOUR_MS = 3_600_000
COMPACTION_LAG_MS = HOUR_MS
"""How long what was written over stays: time to see that it was by somebody who may not, and to write it again."""
REPLICATION = 3
PULSE_H = 2
SPEND_H = 9 * 24


class TopicSpec(Struct, frozen=True):
    """What a topic must be like."""

    name: str
    partitions: int = 1
    compacted: bool = False
    append_time: bool = True
    """Records carry the broker's clock, else the producer's."""
    retention_h: int = 168
    """Of a topic that isn't compacted, or `forgets`."""
    forgets: bool = False
    """Compacted, and yet nothing is kept for longer than `retention_h`."""
    like: str = ""
    """Name of a topic whose number of partitions this one must have."""
    given: bool = False
    """Others own it: any number of partitions will do."""

    def configs(self, replication: int) -> dict[str, str]:
        """Return the broker's settings for it."""
        common = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime" if self.append_time else "CreateTime",
            "min.insync.replicas": "2" if replication >= REPLICATION else "1",
        }
        if self.compacted:
            compacted = {
                **common,
                "segment.ms": str(HOUR_MS),
                "min.cleanable.dirty.ratio": "0.1",
                "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
            }
            if self.forgets:
                compacted |= {"cleanup.policy": "compact,delete", "retention.ms": str(self.retention_h * HOUR_MS)}
            return compacted
        return {**common, "retention.ms": str(self.retention_h * HOUR_MS)}


class Report(Struct):
    """What was done, and what isn't as it should be."""

    created: list[str] = []
    partitions: dict[str, int] = {}
    """Of every topic that exists now."""
    findings: list[str] = []
    """Sentences for a person."""
    mends: dict[str, str] = {}
    """What to do about a finding."""


def topic_specs(
    named: Mapping[str, str],
    events: Sequence[str],
    state: Sequence[str],
    *,
    partitions: int,
    append_time: bool = True,
    retention_h: int = 168,
) -> list[TopicSpec]:
    """Return the specs of all topics.

    `named` gives the full name for each of `topology.NAMES`.
    `state` are the changelogs of the events topics, in their order: each has as many partitions as its topic.
    """
    return [
        *(TopicSpec(name, partitions, append_time=append_time, retention_h=retention_h, given=True) for name in events),
        *(TopicSpec(log, partitions, compacted=True, like=name) for log, name in zip(state, events, strict=True)),
        *(TopicSpec(named[what], retention_h=retention_h) for what in ("decisions", "acks", "alerts")),
        *(TopicSpec(named[what], compacted=True) for what in ("kills", "incidents", "limits")),
        TopicSpec(named["pulse"], retention_h=PULSE_H),
        TopicSpec(named["spend"], compacted=True, forgets=True, retention_h=SPEND_H),
        TopicSpec(named["teams"], partitions, retention_h=retention_h, like=events[0]),
        TopicSpec(named["quarantine"], partitions, retention_h=retention_h, given=True),
        TopicSpec(named["audit"], retention_h=max(retention_h, 24 * 365)),
    ]


async def ensure_topics(
    client: Mapping[str, Any], specs: Iterable[TopicSpec], *, replication: int | None = None, create: bool = True
) -> Report:
    """Create what is missing (if `create`) and compare what is there; a difference is a finding, never an error.

    `client` are the arguments of any aiokafka client. `replication` defaults to 3, or as many as there are brokers.
    Raises KafkaError when the cluster can't be reached or refuses.
    """
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        cluster = _Cluster(admin, client, await admin.describe_cluster(), replication, create)
        asked = list(specs)
        await cluster.ensure([spec for spec in asked if not spec.like])
        # Only now is it known how wide the topics are that others follow.
        width = {spec.name: spec.partitions for spec in asked} | cluster.report.partitions
        await cluster.ensure([structs.replace(spec, partitions=width[spec.like]) for spec in asked if spec.like])
        return cluster.report
    finally:
        await admin.close()


class _Cluster:
    def __init__(
        self,
        admin: AIOKafkaAdminClient,
        client: Mapping[str, Any],
        described: Mapping[str, Any],
        replication: int | None,
        create: bool,
    ) -> None:
        brokers = described["brokers"]
        self._admin, self._client, self._may_create = admin, client, create
        self._copies = replication or min(REPLICATION, len(brokers))
        # The embedded broker has no controller; it creates a topic of four partitions when it is asked about.
        self._creates_when_asked = described["controller_id"] not in {broker["node_id"] for broker in brokers}
        self.report = Report()

    async def ensure(self, specs: list[TopicSpec]) -> None:
        self.report.partitions = await self._partitions()
        missing = [spec for spec in specs if spec.name not in self.report.partitions]
        there = [spec for spec in specs if spec.name in self.report.partitions]
        if not self._may_create:
            self.report.findings += [f"topic {spec.name} does not exist" for spec in missing]
        elif missing and self._creates_when_asked:
            await self._ask(missing)
        elif missing:
            await self._create(missing)
        await self._compare(there)

    async def _partitions(self) -> dict[str, int]:
        names = await self._admin.list_topics()
        if not names:
            return {}
        return {topic["topic"]: len(topic["partitions"]) for topic in await self._admin.describe_topics(list(names))}

    async def _create(self, specs: list[TopicSpec]) -> None:
        copies = self._copies
        new = [NewTopic(spec.name, spec.partitions, copies, topic_configs=spec.configs(copies)) for spec in specs]
        response = await self._admin.create_topics(new)
        for name, code, *message in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"cannot create topic {name}: {message[0] if message else ''}")
            if not code:
                self.report.created.append(name)
        await self._wait_for({spec.name for spec in specs})

    async def _wait_for(self, names: set[str]) -> None:
        """Creation returns before every broker knows the topic."""
        for _ in range(100):
            self.report.partitions = await self._partitions()
            if names <= self.report.partitions.keys():
                return
            await asyncio.sleep(0.1)
        absent = ", ".join(sorted(names - self.report.partitions.keys()))
        raise KafkaError(f"topics were created and are not there: {absent}")

    async def _ask(self, specs: list[TopicSpec]) -> None:
        producer = AIOKafkaProducer(**self._client)
        await producer.start()
        try:
            for spec in specs:
                self.report.partitions[spec.name] = len(await producer.partitions_for(spec.name))
                self.report.created.append(spec.name)
        finally:
            await producer.stop()

    async def _compare(self, specs: list[TopicSpec]) -> None:
        for spec in specs:
            partitions = self.report.partitions[spec.name]
            if not spec.given and partitions != spec.partitions:
                finding = f"topic {spec.name} has {partitions} partitions, and must have {spec.partitions}"
                self._found(finding, "With the service down delete it, then `brakeline topics --create`.")
            found, wanted = await self._configs(spec.name), spec.configs(self._copies)
            for key in ("cleanup.policy", "message.timestamp.type"):
                if key in found and found[key] != wanted[key]:
                    self._differs(spec.name, key, found[key], wanted[key])
            lag = found.get("min.compaction.lag.ms", "")
            if "compact" in found.get("cleanup.policy", "") and spec.compacted and int(lag or 0) < COMPACTION_LAG_MS:
                self._differs(spec.name, "min.compaction.lag.ms", lag, f"at least {COMPACTION_LAG_MS}")

    def _differs(self, name: str, key: str, found: str, wanted: str) -> None:
        value = wanted.removeprefix("at least ")
        mend = f"kafka-configs --alter --entity-type topics --entity-name {name} --add-config {key}={value}"
        self._found(f"topic {name} has {key}={found}, and should have {wanted}", mend)

    def _found(self, finding: str, mend: str) -> None:
        self.report.findings.append(finding)
        self.report.mends[finding] = mend

    async def _configs(self, name: str) -> dict[str, str]:
        try:
            responses = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        except (IncompatibleBrokerVersion, KafkaError):
            return {}
        return {
            entry[0]: entry[1]
            for response in responses
            for _, _, _, _, entries in response.resources
            for entry in entries
        }
