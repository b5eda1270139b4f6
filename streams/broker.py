"""The embedded broker: librdkafka's mock cluster in a child process, for trying out.

It speaks enough of Kafka's protocol for the service, the gateway kit and the demo, without Java. It keeps about 5 MB a
partition in memory, compacts nothing, and creates a topic with four partitions when somebody asks about it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

WARNING = "The embedded broker is for trying out: it keeps about 5 MB a partition in memory and loses all when it ends."
START_S = 15.0
STOP_S = 5.0


class EmbeddedBrokerError(Exception):
    """The embedded broker can't be started."""


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker as long as the context is open; yields its bootstrap address on the loopback interface.

    The child ends with this process, however that ends. Raises EmbeddedBrokerError when it doesn't start.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "streams.broker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield _address(child)
    finally:
        cast(TextIO, child.stdin).close()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        cast(TextIO, child.stdout).close()


def _address(child: "subprocess.Popen[str]") -> str:
    line = cast(TextIO, child.stdout).readline()
    if not line:
        raise EmbeddedBrokerError(f"the embedded broker ended with exit code {child.wait(START_S)} before it was ready")
    said = json.loads(line)
    if "error" in said:
        raise EmbeddedBrokerError(said["error"])
    return str(said["bootstrap"])


def _bootstrap(client: object, timeout_s: float) -> str:
    brokers = client.list_topics(timeout=timeout_s).brokers.values()  # type: ignore[attr-defined]
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def main() -> int:
    """Run the mock cluster until standard input ends, which it does with the parent."""
    try:
        from confluent_kafka import Producer
    except ImportError:
        error = 'the embedded broker needs an extra: pip install "brakeline[embedded]"'
        print(json.dumps({"error": error}), flush=True)
        return 1
    cluster = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
    print(json.dumps({"bootstrap": _bootstrap(cluster, START_S)}), flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
