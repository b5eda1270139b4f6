"""A Kafka to measure on: the one given, or a real one of deploy/kafka for the time of the measurement."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

from streams.demo.stage import StageError, free_ports

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "kafka"
START_S = 120.0


@contextmanager
def kafka(address: str | None) -> Iterator[str]:
    """Yield the address of a Kafka. Raises StageError when none is given and none can be started."""
    if address is not None:
        yield address
        return
    absent = [tool for tool in ("java", "mvn", "bash") if shutil.which(tool) is None]
    if absent or not SCRIPT.exists():
        raise StageError("this measures on a real Kafka: give --broker HOST:PORT, or install java and mvn")
    port, controller_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="brakeline-kafka-") as folder:
        with (Path(folder) / "log").open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own script
                [SCRIPT, "start", Path(folder) / "kafka", str(port), str(controller_port)], stdout=log, stderr=log
            )
        try:
            _wait_for(port, child, Path(folder) / "log")
            yield f"127.0.0.1:{port}"
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_for(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and child.poll() is None:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise StageError(f"Kafka did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")
