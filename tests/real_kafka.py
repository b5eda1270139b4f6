"""A real Kafka for tests: found in the environment, or started from deploy/kafka on free loopback ports."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from waiting import until

SCRIPT = Path(__file__).resolve().parent.parent / "deploy" / "kafka" / "kafka"
START_S = 120.0
# A broker that lives for minutes never earns back what the optimising compiler costs: a third of its time.
JAVA = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def missing() -> str:
    """Say which tools of a real Kafka aren't here; empty when all are."""
    absent = [tool for tool in ("java", "mvn", "bash") if shutil.which(tool) is None]
    return f"a real Kafka needs {' and '.join(absent)}" if absent else ""


def need_tools() -> None:
    """Skip, or fail where a real Kafka is required, without what it needs."""
    if reason := missing():
        if os.environ.get("BRAKELINE_REQUIRE_KAFKA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def real_kafka(directory: Path) -> Iterator[str]:
    """Yield a bootstrap address; the broker ends with the context."""
    if given := os.environ.get("BRAKELINE_KAFKA"):
        yield given
        return
    need_tools()
    port, controller_port = free_ports(2)
    with running(directory, port, controller_port):
        yield f"127.0.0.1:{port}"


@contextmanager
def running(directory: Path, port: int, controller_port: int, **environment: str) -> Iterator[None]:
    """Run deploy/kafka, listening on these ports; its environment says what else it shall be."""
    log = directory / "broker.log"
    with log.open("w") as output:
        broker = subprocess.Popen(
            [SCRIPT, "start", directory / "kafka", str(port), str(controller_port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**JAVA, **os.environ, **environment},
        )
        try:
            wait_for_port(port, broker, log)
            asyncio.run(wait_for_groups(f"127.0.0.1:{port}"))
            yield
        finally:
            broker.terminate()
            try:
                broker.wait(15)
            except subprocess.TimeoutExpired:
                broker.kill()
                broker.wait()


def wait_for_port(port: int, broker: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if broker.poll() is not None:
            break
        with socket.socket() as sock:
            sock.settimeout(1)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        # Nothing to wait for but the port; the broker's own start takes seconds.
        select_s(0.1)
    pytest.fail(f"Kafka did not start:\n{log.read_text()[-3000:]}")


async def wait_for_groups(bootstrap: str) -> None:
    """The first question about a group creates the topic that groups are kept in, and fails until it is there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def answers() -> bool:
        with suppress(GroupCoordinatorNotAvailableError):
            await admin.list_consumer_group_offsets("nobody")
            return True
        return False

    try:
        await until(answers, START_S)
    finally:
        await admin.close()


def select_s(seconds: float) -> None:
    """Pause between two looks at a condition with a deadline."""
    import select

    select.select([], [], [], seconds)
