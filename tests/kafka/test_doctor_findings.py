"""What the doctor says of each thing that can be wrong on a real broker: what it is, what to do, and the exit code."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from real_kafka import free_ports
from typer.testing import CliRunner

from alerts.commands import Orders
from alerts.gateway.keys import SigningKey, write_keys
from alerts.gateway.wire import HEARTBEAT_KEY, Ack, encode_ack
from streams.assembly import keys_of
from streams.settings import Settings
from streams.topology import compare_topics

pytestmark = pytest.mark.kafka
Findings = list[dict[str, str]]


class Patient:
    """An installation that lacks nothing but a running service, until something is broken."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.kafka, self.folder, self.prefix = kafka, folder, f"test-{uuid.uuid4().hex[:8]}"
        (port,) = free_ports(1)
        self.values: dict[str, Any] = {
            "kafka": {"bootstrap": kafka, "request_timeout_ms": 3_000},
            "topics": {"prefix": self.prefix, "partitions": 2, "create": False},
            "service": {"app_id": self.prefix, "data_dir": str(folder / "data"), "web_port": port},
            "keys": {"dir": str(folder / "keys")},
        }
        write_keys(folder / "keys")

    async def topics(self) -> None:
        settings = Settings.model_validate(self.values)
        await compare_topics(settings, create=True)

    async def admin(self, do: Callable[[AIOKafkaAdminClient], Any]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await do(admin)
        finally:
            await admin.close()

    async def examined(self, *levels: str) -> tuple[int, Findings]:
        """Return the exit code, and what isn't well."""
        path = self.folder / "brakeline.yaml"
        path.write_text(json.dumps(self.values))
        command = ["doctor", "--json", "--config", str(path)]
        from streams.cli import app

        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        return result.exit_code, [
            found for found in json.loads(result.stdout) if found["level"] in (levels or ("fail",))
        ]


@pytest.fixture
async def patient(kafka: str, tmp_path: Path) -> Patient:
    found = Patient(kafka, tmp_path)
    await found.topics()
    return found


async def test_nothing_fails_where_nothing_is_broken(patient: Patient) -> None:
    assert await patient.examined() == (0, [])


async def test_a_broker_that_is_down(patient: Patient) -> None:
    (port,) = free_ports(1)
    patient.values["kafka"]["bootstrap"] = f"127.0.0.1:{port}"

    code, (found,) = await patient.examined()

    assert (code, found["part"]) == (3, "kafka")
    assert f"kafka.bootstrap: '127.0.0.1:{port}'" in found["what"]
    assert found["remedy"] == "Start the broker, or correct host and port."


@pytest.mark.parametrize("what", ["kills", "limits", "events"])
async def test_a_topic_that_is_missing(patient: Patient, what: str) -> None:
    await patient.admin(lambda admin: admin.delete_topics([f"{patient.prefix}.{what}"]))

    code, found = await patient.examined()

    assert code == 1
    assert f"Topic {patient.prefix}.{what} does not exist." in [each["what"] for each in found]
    assert "brakeline topics --create" in found[0]["remedy"]


async def test_a_topic_of_another_shape(kafka: str, tmp_path: Path) -> None:
    patient = Patient(kafka, tmp_path)
    kills = f"{patient.prefix}.kills"
    await patient.admin(lambda admin: admin.create_topics([NewTopic(kills, 3, 1)]))
    await patient.topics()

    code, (found,) = await patient.examined()

    assert (code, found["what"]) == (1, f"Topic {kills} has 3 partitions, and must have 1.")
    assert "delete it" in found["remedy"]


async def test_keys_that_the_trust_file_does_not_know(patient: Patient) -> None:
    other = patient.folder / "others"
    write_keys(other)
    (patient.folder / "keys" / "detector.key").write_bytes((other / "detector.key").read_bytes())
    (patient.folder / "keys" / "detector.key").chmod(0o600)

    code, (found,) = await patient.examined()

    assert (code, found["part"]) == (1, "keys")
    assert "trust.json does not know the key in detector.key" in found["what"]
    assert "brakeline keys" in found["remedy"]


async def test_records_of_the_kill_topic_that_somebody_else_has_signed(patient: Patient) -> None:
    path = patient.folder / "others"
    write_keys(path)
    key = SigningKey.parse((path / "commander.key").read_bytes())
    async with AIOKafkaProducer(bootstrap_servers=patient.kafka) as producer:
        await producer.send_and_wait(f"{patient.prefix}.kills", key.sign_bytes(b"{}"), HEARTBEAT_KEY.encode())

    code, (found,) = await patient.examined()

    assert (code, found["part"]) == (1, "commands")
    assert "1 records" in found["what"]
    assert "trust.json" in found["remedy"]


async def test_clocks_that_are_apart(patient: Patient) -> None:
    keys, _ = keys_of(Settings.model_validate(patient.values))
    env, orders = "production", Orders("production", "w", keys)
    gone = asyncio.Event()

    async def speak() -> None:
        """Be a commander a minute behind, and gateways of which one is ahead."""
        async with AIOKafkaProducer(bootstrap_servers=patient.kafka) as producer:
            while not gone.is_set():
                now_s = time.time()
                beat = orders.heartbeat(now_s - 60.0)
                await producer.send_and_wait(f"{patient.prefix}.kills", beat, HEARTBEAT_KEY.encode())
                for name, ahead_s in (("gw-1", 0.0), ("gw-2", 4.0)):
                    ack = Ack(
                        gateway=name, env=env, at=now_s + ahead_s, state="live", offset=0, epoch=0, seq=0, active=0
                    )
                    await producer.send_and_wait(f"{patient.prefix}.acks", encode_ack(ack))
                await asyncio.wait([asyncio.ensure_future(gone.wait())], timeout=0.5)

    speaking = asyncio.create_task(speak())
    code, found = await patient.examined("fail", "warn")
    gone.set()
    await speaking

    said = [each["what"] for each in found if each["part"] == "clocks"]
    assert code == 1
    assert [each["part"] for each in found if each["level"] == "fail"] == ["clocks"]
    assert said[0].startswith("The commander's clock is 60.")
    assert said[0].endswith("s behind the broker's.")
    assert said[1].startswith(("Gateway gw-2's clock is 3.9", "Gateway gw-2's clock is 4.0"))
    assert len(said) == 2
