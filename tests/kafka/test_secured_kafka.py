"""SASL_SSL with SCRAM, mutual TLS and rights on a real Kafka: settings are enough; wrong ones are told clearly."""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from kafka_service import ROOT, ServiceWorker, spawn
from kafka_workers import Worker
from real_kafka import free_ports
from secured_kafka import PASSWORD, STRANGER, SUBJECT, USER, Secured, secured_kafka
from waiting import until

from alerts.gateway.keys import write_keys
from streams.rights import needed
from streams.settings import Settings
from streams.topology import compare_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as found:
        yield found


class Site:
    """An installation whose topics are there and whose worker's user may do what it needs, and no more."""

    def __init__(self, secured: Secured, folder: Path) -> None:
        self.secured, self.folder, self.name = secured, folder, f"test-{uuid.uuid4().hex[:8]}"
        (self.port,) = free_ports(1)
        write_keys(folder / "keys")

    def values(self, kafka: dict[str, Any]) -> dict[str, Any]:
        return {
            "kafka": kafka,
            "topics": {"prefix": self.name, "partitions": 2, "create": False},
            "service": {"app_id": self.name, "data_dir": str(self.folder / "data"), "web_port": self.port},
            "keys": {"dir": str(self.folder / "keys")},
            "mode": "armed",
            "limits": [{"scope": "agent:bounded", "tokens": 10_000, "per": "day"}],
            "logs": {"format": "text"},
        }

    async def prepare(self) -> None:
        settings = Settings.model_validate(self.values({"bootstrap": self.secured.plain}))
        await compare_topics(settings, create=True)
        self.rights = {("topic", name): tuple(each.name for each in may) for name, may in needed(settings).items()}
        self.rights[("group", self.name)] = ("READ",)
        self.rights[("transactional-id", f"{self.name}.commander")] = ("WRITE",)
        self.secured.allow(f"User:{USER}", self.rights)
        self.secured.allow(f"User:{USER}", {("topic", f"{self.name}.events"): ("WRITE",)})  # For `produce`.
        self.secured.allow(SUBJECT, {("topic", f"{self.name}.{what}"): ("READ",) for what in ("kills", "limits")})
        self.secured.allow(SUBJECT, {("topic", f"{self.name}.acks"): ("WRITE",)})

    def config(self, kafka: dict[str, Any]) -> str:
        path = self.folder / f"{uuid.uuid4().hex[:8]}.yaml"
        path.write_text(json.dumps(self.values(kafka)))
        return str(path)

    async def says(self, kafka: dict[str, Any], *command: str) -> tuple[int | None, str]:
        process = await spawn(*command, "--config", self.config(kafka))
        said, _ = await process.communicate()
        return process.returncode, said.decode()


@pytest.fixture
async def site(secured: Secured, tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(secured, tmp_path)
    await found.prepare()
    yield found


async def sidecar(site: Site, kafka: dict[str, Any], **environment: str) -> tuple[Worker, int]:
    """Start a sidecar whose settings are the TOML of a `kafka` section."""
    (port,) = free_ports(1)
    given = {**kafka.get("security", {}), "bootstrap": kafka["bootstrap"], "prefix": site.name}
    given.pop("password", None)
    lines = [
        f'trust = "{site.folder}/keys/trust.json"',
        f'listen = "127.0.0.1:{port}"',
        f'gateway_id = "{port}"',
        "[kafka]",
    ]
    path = site.folder / f"{port}.toml"
    path.write_text("\n".join([*lines, *(f'{name} = "{value}"' for name, value in given.items())]))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alerts.gateway", "sidecar", "--config", str(path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    return Worker(process), port


def checked(port: int, agent: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/check", headers={"x-brakeline-agent": agent})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def test_with_a_password_and_with_a_certificate_all_works_by_settings_alone(site: Site, secured: Secured) -> None:
    by_password = secured.by_password()
    worker = ServiceWorker(await spawn("run", "--config", site.config(by_password)), site.port)
    gateways = [
        await sidecar(site, secured.by_certificate()),
        await sidecar(site, by_password, BRAKELINE_KAFKA_PASSWORD=PASSWORD),
    ]
    try:
        await worker.up()
        made = await spawn("simulate", "--minutes", "2", "--agents", "4", "-o", str(site.folder / "e.jsonl"))
        await made.communicate()
        assert (await site.says(by_password, "produce", str(site.folder / "e.jsonl"), "--speed", "max", "--retime"))[
            0
        ] == 0
        code, said = await site.says(by_password, "kill", "agent:a", "--reason", "it loops")
        assert code == 0, said

        async def all_refuse() -> bool:
            return [checked(port, "a") for _, port in gateways] == [403, 403]

        async def counted() -> bool:
            return await worker.metric("brakeline_events_accepted_total") > 0

        await until(all_refuse)
        await until(counted)
        code, said = await site.says(by_password, "doctor")
        assert "Gateways that report and are live: 2" in said
        assert ("\nfail" in said, code) == (False, 0), said
    finally:
        for each in (worker, *(gateway for gateway, _ in gateways)):
            await each.end(signal.SIGTERM)


async def test_a_gateway_obeys_the_limits_that_it_may_read_and_can_not_write_its_own(
    site: Site, secured: Secured
) -> None:
    by_certificate = secured.by_certificate()
    worker = ServiceWorker(await spawn("run", "--config", site.config(secured.by_password())), site.port)
    gateway, port = await sidecar(site, by_certificate)
    try:
        await worker.up()

        async def is_refused() -> bool:
            # The service wrote the limit and this gateway's share of it.
            return checked(port, "bounded") == 403 and checked(port, "free") == 200

        await until(is_refused)
        client = Settings.model_validate(site.values(by_certificate)).kafka.client_kwargs()
        async with AIOKafkaProducer(**client) as producer:
            for topic in ("limits", "kills"):
                with pytest.raises(TopicAuthorizationFailedError):
                    await producer.send_and_wait(f"{site.name}.{topic}", b"{}", key=b"rules")
            await producer.send_and_wait(f"{site.name}.acks", b"{}", key=b"x")
    finally:
        for each in (worker, gateway):
            await each.end(signal.SIGTERM)


WRONG = {
    "password": ("kafka.security.username: 'brakeline'", "correct username or password"),
    "authority": ("kafka.security.ca_file: ", "authority that signed the broker's"),
    "no certificate": ("kafka.security.cert_file: not set", "give cert_file and key_file"),
    "no tls": ("kafka.security.protocol: 'PLAINTEXT'", "set protocol"),
    "mechanism": ("kafka.security.mechanism: 'SCRAM-SHA-256'", "set mechanism"),
    "no sasl": ("kafka.security.protocol: 'SSL'", "set protocol"),
    "tls on a plain listener": ("kafka.security.protocol: 'SASL_SSL'", "set protocol"),
    "port": ("kafka.bootstrap: '127.0.0.1:1'", "nobody listens there"),
    "name": ("kafka.security.check_hostname: 'True'", "certificate is for another name"),
}


def wrong(secured: Secured, what: str) -> dict[str, Any]:
    kafka, by_certificate = secured.by_password(), secured.by_certificate()
    security = kafka["security"]
    port = secured.scram.rpartition(":")[2]
    return {
        "password": secured.by_password(password="wrong"),
        "authority": secured.by_password(ca="other"),
        "no certificate": {**by_certificate, "security": {"protocol": "SSL", "ca_file": secured.file("ca.pem")}},
        "no tls": {"bootstrap": secured.scram},
        "mechanism": {**kafka, "security": {**security, "mechanism": "SCRAM-SHA-256"}},
        "no sasl": {**by_certificate, "bootstrap": secured.scram},
        "tls on a plain listener": {**kafka, "bootstrap": secured.plain},
        "port": {**kafka, "bootstrap": "127.0.0.1:1"},
        "name": {**kafka, "bootstrap": f"localhost:{port}"},
    }[what]


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_said_with_field_value_and_mend(site: Site, secured: Secured, what: str) -> None:
    kafka = {**wrong(secured, what), "request_timeout_ms": 3_000}

    outcomes = await asyncio.gather(site.says(kafka, "list"), site.says(kafka, "doctor"))

    for code, said in outcomes:
        assert code == 3, said
        assert all(words.lower() in said.lower() for words in WRONG[what]), said
        assert "Traceback" not in said
        assert PASSWORD not in said


async def test_who_may_not_is_told_the_right_that_is_missing(site: Site, secured: Secured) -> None:
    kafka = secured.by_password(STRANGER)
    withheld = (site.name, f"{site.name}.kills", f"{site.name}.commander")
    allowed = {key: may for key, may in site.rights.items() if key[1] not in withheld}
    secured.allow(f"User:{STRANGER}", {**allowed, ("topic", f"{site.name}.kills"): ("READ",)})

    outcomes = {name: await site.says(kafka, *command) for name, command in COMMANDS.items()}

    missing = f"kafka.security.username: '{STRANGER}' may not WRITE topic {site.name}.kills"
    mend = f"kafka-acls --add --allow-principal 'User:{STRANGER}' --operation Write --topic {site.name}.kills"
    for name in ("run", "doctor"):
        assert missing in outcomes[name][1], outcomes[name]
        assert mend in outcomes[name][1]
        assert f"may not READ group {site.name}" in outcomes[name][1]
        assert f"--operation Write --transactional-id {site.name}.commander" in outcomes[name][1]
    assert {name: code for name, (code, _) in outcomes.items()} == {"run": 4, "doctor": 1, "kill": 4, "produce": 4}
    assert all("brakeline doctor" in outcomes[name][1] for name in ("kill", "produce")), outcomes


COMMANDS = {
    "run": ("run",),
    "doctor": ("doctor",),
    "kill": ("kill", "agent:a", "--reason", "x"),
    "produce": ("produce", "deploy/brakeline.yaml"),
}


async def test_a_gateway_says_why_it_hears_nothing(site: Site, secured: Secured) -> None:
    worker, _ = await sidecar(site, secured.by_password(), BRAKELINE_KAFKA_PASSWORD="wrong")

    try:

        async def told() -> bool:
            return any("refuses user 'brakeline'" in line for line in worker.lines)

        await until(told)
    finally:
        await worker.end(signal.SIGTERM)
