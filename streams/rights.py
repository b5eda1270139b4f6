"""What the service may do with its topics and its group, as the broker says; nothing is written to find out.

aiokafka asks for a topic's metadata up to version 5; what is allowed comes with version 8 (KIP-430).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String
from msgspec import Struct

from streams.fenced_outlet import transactional_id
from streams.settings import Settings
from streams.settings.kafka import Kafka
from streams.topology import specs_of

READS = ("decisions", "kills", "acks", "incidents", "teams", "limits", "audit", "pulse", "spend")
WRITES = (
    "decisions",
    "kills",
    "acks",
    "alerts",
    "incidents",
    "quarantine",
    "teams",
    "limits",
    "audit",
    "pulse",
    "spend",
)
UNAUTHORIZED = 29
UNTOLD = -(1 << 31)
GROUP, TRANSACTION = 0, 1


class Operation(IntEnum):
    """What may be allowed; the numbers are the protocol's."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


BOTH = (Operation.READ, Operation.WRITE)


class Lack(Struct, frozen=True):
    """One thing that the service needs and may not do."""

    who: str
    principal: str
    operation: Operation
    kind: str
    """topic, group or transactional-id."""
    name: str

    @property
    def what(self) -> str:
        """Return the setting, its value and what it lacks."""
        return f"{self.who} may not {self.operation.name} {self.kind} {self.name}"

    @property
    def mend(self) -> str:
        """Return what to do about it."""
        principal, operation = self.principal, self.operation.name.capitalize()
        command = f"kafka-acls --add --allow-principal '{principal}' --operation {operation}"
        return f"Allow it: {command} --{self.kind} {self.name}"


class RightsError(Exception):
    """The service may not do what it has to."""

    def __init__(self, lacks: list[Lack]) -> None:
        self.lacks = lacks
        super().__init__("\n".join(f"{lack.what}. {lack.mend}" for lack in lacks))


def who(kafka: Kafka) -> tuple[str, str]:
    """Return the setting that says who we are, with its value, and the principal that Kafka sees."""
    security = kafka.security
    if security.username is not None:
        return f"kafka.security.username: {security.username!r}", f"User:{security.username}"
    if security.cert_file is not None:
        return f"kafka.security.cert_file: {str(security.cert_file)!r}", "User:<the certificate's subject>"
    return "kafka.security: nobody in particular", "User:ANONYMOUS"


def needed(settings: Settings) -> dict[str, tuple[Operation, ...]]:
    """Return what a worker does with each topic; a gateway reads kills and limits, and writes acks (and events)."""
    topics = settings.topics
    reads, writes = {*topics.event_topics, *map(topics.named, READS)}, {*map(topics.named, WRITES)}
    found: dict[str, tuple[Operation, ...]] = {}
    for name in (spec.name for spec in specs_of(settings)):
        both = name in reads & writes or name not in reads | writes  # What is neither is a changelog.
        found[name] = BOTH if both else (Operation.READ,) if name in reads else (Operation.WRITE,)
    return found


async def lacking(settings: Settings) -> list[Lack]:
    """Return what is needed and not allowed; nothing where the broker doesn't say. Raises KafkaError."""
    named, principal = who(settings.kafka)
    admin = AIOKafkaAdminClient(**settings.kafka.client_kwargs())
    await admin.start()
    try:
        wanted = needed(settings)
        allowed = await _of_topics(admin, list(wanted))
        group = settings.service.app_id
        may = await _of_coordinator(admin, group, GROUP)
        name = transactional_id(settings)
        may_write = not settings.kafka.transactions or await _of_coordinator(admin, name, TRANSACTION)
    finally:
        await admin.close()
    found = [
        Lack(named, principal, operation, "topic", name)
        for name, operations in wanted.items()
        for operation in operations
        if name in allowed and not allowed[name] >> operation & 1
    ]
    if not may:
        found.append(Lack(named, principal, Operation.READ, "group", group))
    if not may_write:
        found.append(Lack(named, principal, Operation.WRITE, "transactional-id", name))
    return found


async def check(settings: Settings) -> None:
    """Raise RightsError when something is lacking."""
    if lacks := await lacking(settings):
        raise RightsError(lacks)


async def _of_topics(admin: AIOKafkaAdminClient, names: list[str]) -> Mapping[str, int]:
    try:
        answer = await admin._send_request(_Metadata(names))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    found = {}
    for code, name, _internal, _partitions, allowed in answer.topics:
        if code == UNAUTHORIZED:
            found[name] = 0
        elif not code and allowed != UNTOLD:
            found[name] = allowed
    return found


async def _of_coordinator(admin: AIOKafkaAdminClient, name: str, kind: int) -> bool:
    try:
        await admin.find_coordinator(name, kind)
    except (GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed):
        return False
    except (KafkaError, NotImplementedError):
        return True  # It says nothing of rights: the first question fails while the coordinators' topic is made.
    return True


class _Answer(Response):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 3
    API_VERSION: ClassVar[int] = 8
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 3
    API_VERSION: ClassVar[int] = 8
    RESPONSE_TYPE: ClassVar[type[Response]] = _Answer
    SCHEMA: ClassVar[Schema] = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Metadata(Request[_Question]):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics: Any = topics

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """Ask for these topics, making none."""
        return request_struct_class(self._topics, False, False, True)
