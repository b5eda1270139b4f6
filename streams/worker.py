"""A Faust app on the batch driver, and how it is run and ended inside an event loop of ours.

    client = {"bootstrap_servers": "kafka:9092"}
    app = make_app("brakeline", client, on_restored=build_engines, on_revoked=drop_engines)
    rows = StateRows(app, 8, client)
    on_batches(app, "brakeline.events", judge)  # judge(batch: RecordBatch); returning is the ack
    on_batches(app, "brakeline.decisions", command)
    await rows.start()
    await run(app, stop)  # until `stop` is set; raises WorkerError when a handler or Faust fails

`on_restored` gets the (topic, partition)s that are now ours, after the table's recovery and before their first batch;
`on_revoked` gets those that are lost, after the batch in work was finished and committed. A rebalance revokes all and
restores those that stay. Agents never yield and there is no acknowledgement but a handler's return: when a handler
raises, the app fails, nothing more is acked, and the broker redelivers to whoever comes next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import faust
from faust.types.auth import SASLMechanism
from yarl import URL

from streams.lanes import Lanes
from streams.lease import Lease
from streams.ledger import Progress
from streams.records import RecordBatch
from streams.transport import BatchSchema, BatchTransport, Hook, TopicPartition

BATCHES_BUFFERED = 2
RULES: dict[str, Any] = {
    "autodiscover": False,
    "processing_guarantee": "at_least_once",
    "key_serializer": "raw",
    "value_serializer": "raw",
    "store": "memory://",
    "broker_check_crcs": True,
    "consumer_auto_offset_reset": "earliest",
    "consumer_max_fetch_size": 4 << 20,
    "stream_buffer_maxsize": BATCHES_BUFFERED,
    "stream_wait_empty": True,
    "stream_recovery_delay": 0.0,
    "table_standby_replicas": 0,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "web_enabled": False,
    "web_host": "127.0.0.1",
    "web_bind": "127.0.0.1",
    "web_tables_enabled": False,
    "web_router_enabled": False,
}
"""Settings of Faust that are never anything else; each avoids a loss of data, a leak or an open port."""

STOP_S = 20.0

log = logging.getLogger(__name__)

Handler = Callable[[RecordBatch], Awaitable[None]]


class WorkerError(Exception):
    """The worker can't go on; what it hadn't finished is delivered again to the next one."""


class Owner(Protocol):
    """Who keeps state of the partitions that are ours."""

    async def claim(self) -> None:
        """Take the restored partitions over."""

    def release(self) -> None:
        """Let go of all."""


class BatchApp(faust.App):  # type: ignore[misc]
    """A Faust app whose agents get RecordBatches."""

    def __init__(self, *args: Any, on_restored: Hook | None, on_revoked: Hook | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_restored, self.on_revoked = on_restored, on_revoked
        self.lease = Lease(self.conf.broker_session_timeout)
        self.owners: list[Owner] = []
        self.batch_topics: set[str] = set()
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Create none: tables are in memory."""

    def fail(self, error: BaseException) -> None:
        """End the worker without acking what is in work."""
        self.failure = self.failure or error
        self.failed.set()
        # Waiting for the batch in work would wait forever.
        self.consumer._unacked_messages.clear()

    def is_current(self, message: Any) -> bool:
        """Tell whether a message that waits may still be handled: not while stopping, nor after a rebalance."""
        return bool(self.consumer.flow_active) and message.generation_id == self.consumer_generation_id

    def forget(self, message: Any) -> None:
        """Wait no longer for a message that is never acked; Faust would until nobody refers to it."""
        self.consumer._unacked_messages.discard(message)

    async def restored(self, tps: frozenset[TopicPartition]) -> None:
        """Claim the state, then tell the owner of the engines; a failure is the app's, where Faust would swallow it."""
        if not self.failed.is_set():
            with self._failing():
                await asyncio.gather(*(owner.claim() for owner in self.owners))
                if self.on_restored is not None:
                    await self.on_restored(tps)

    async def revoked(self, tps: frozenset[TopicPartition]) -> None:
        """Let go of the state, and tell the owner of the engines."""
        for owner in self.owners:
            owner.release()
        if self.on_revoked is not None and not self.failed.is_set():
            with self._failing():
                await self.on_revoked(tps)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.fail(error)
            raise

    def progress(self) -> Mapping[TopicPartition, Progress]:
        """Return where each partition in work stands."""
        return {} if self._consumer is None else self.consumer.progress()


def make_app(
    app_id: str,
    client: Mapping[str, Any],
    *,
    instance: str | None = None,
    session_s: float = 12.0,
    rebalance_s: float = 15.0,
    commit_s: float = 1.0,
    on_restored: Hook | None = None,
    on_revoked: Hook | None = None,
) -> BatchApp:
    """Make an app that obeys the rules for Faust.

    `app_id` is the consumer group; `instance` makes the worker a static member. `client` are the arguments of
    any aiokafka client: bootstrap_servers, security_protocol, ssl_context, sasl_mechanism, sasl_plain_username and
    sasl_plain_password.
    """
    servers = client["bootstrap_servers"]
    addresses = servers.split(",") if isinstance(servers, str) else servers
    return BatchApp(
        app_id,
        broker=[URL(f"kafka://{address.strip()}") for address in addresses],
        broker_credentials=credentials(client),
        on_restored=on_restored,
        on_revoked=on_revoked,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_rebalance_timeout=rebalance_s,
        broker_request_timeout=max(30.0, session_s + 5),
        broker_commit_interval=commit_s,
        consumer_group_instance_id=instance,
        **RULES,
    )


def credentials(client: Mapping[str, Any]) -> Any:
    """Translate aiokafka's security arguments into Faust's credentials; None for plain text.

    Raises ValueError for a protocol or mechanism that isn't supported.
    """
    protocol = str(client.get("security_protocol", "PLAINTEXT")).upper()
    if protocol == "PLAINTEXT":
        return None
    context = client.get("ssl_context")
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    if not protocol.startswith("SASL_"):
        raise ValueError(f"security protocol {protocol} is not supported")
    return faust.SASLCredentials(
        username=client["sasl_plain_username"],
        password=client["sasl_plain_password"],
        ssl_context=context if protocol == "SASL_SSL" else None,
        mechanism=SASLMechanism(client.get("sasl_mechanism", "PLAIN")),
    )


def on_batches(app: BatchApp, topic: str, handle: Handler) -> None:
    """Have an agent call `handle` with the batches of a topic; a batch is acked when that returns.

    A partition's batches come in turn, those that wait joined into one; partitions are handled at the same time.
    """
    app.batch_topics.add(topic)

    async def consume(stream: Any) -> None:
        stream.enable_acks = False
        # Faust empties it when the flow resumes: what had just come would never be handled. Lanes drop what is stale.
        app.flow_control._queues.discard(stream.channel.queue)
        lanes = Lanes(
            handle,
            done=app.consumer.ack,
            failed=app.fail,
            fresh=app.is_current,
            dropped=app.forget,
        )
        try:
            async for event in stream.events():
                await lanes.put(event.message)
        finally:
            lanes.cancel()

    app.agent(app.topic(topic, schema=BatchSchema()), name=f"batches of {topic}")(consume)


async def run(app: BatchApp, stop: asyncio.Event) -> None:
    """Run until `stop` is set, finish the batch in work, commit and leave.

    Raises WorkerError when a handler, a hook or Faust fails; the caller should end the process.
    """
    watched = [asyncio.ensure_future(event.wait()) for event in (stop, app.failed, app._crashed)]
    starting = asyncio.ensure_future(app.start())
    try:
        await asyncio.wait([starting, *watched], return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not starting.exception():
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        reason = app.failure or app.crash_reason or (starting.exception() if starting.done() else None)
        if reason is not None:
            log.error("Stopping, since it can't go on: %r", reason)
    finally:
        for future in watched:
            future.cancel()
        await _end(app, starting)
    if reason := reason or app.failure or app.crash_reason:
        raise WorkerError(f"{type(reason).__name__}: {reason}") from reason


async def _end(app: BatchApp, starting: "asyncio.Future[None]") -> None:
    """Stop in time or not at all: what isn't committed is delivered again."""
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except TimeoutError:
        app.failure = app.failure or WorkerError(f"not stopped within {STOP_S:.0f} s")
    starting.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await starting
