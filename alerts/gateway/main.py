"""`brakeline-gateway`: runs a sidecar from one TOML file, or tries a gateway that runs."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from .conformance import command as conformance
from .feed import Feed, FeedSettings
from .guard import Guard
from .headers import HeaderNames
from .health import Policy
from .keys import Trust
from .quiet import quieten
from .sidecar import Sidecar
from .wire import WireError


class KafkaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the brokers. The password is read from the environment: name the variable."""

    bootstrap: str = "127.0.0.1:9092"
    prefix: str = "brakeline"
    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password_env: str = "BRAKELINE_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def client(self) -> dict[str, Any]:
        """Return the arguments of any aiokafka client; raise OSError for a certificate that can't be read."""
        found: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
            found["ssl_context"] = context
        if self.protocol.startswith("SASL"):
            found |= {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.username}
            found["sasl_plain_password"] = os.environ.get(self.password_env, "")
        return found


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One gateway. `trust` is the trust.json of `brakeline keys`; `env` is that of the service."""

    trust: Path = Path("trust.json")
    env: str = "production"
    gateway_id: str = ""
    listen: str = "127.0.0.1:8181"
    snapshot: Path | None = None
    release_url: str = ""
    kafka: KafkaSettings = KafkaSettings()
    headers: HeaderNames = HeaderNames()
    policy: Policy = Policy()


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when it was asked to stop, 2 for a mistake in the settings."""
    parser = argparse.ArgumentParser(
        prog="brakeline-gateway",
        description="Obeys Brakeline's commands at a gateway.",
        epilog="Exit codes: 0 stopped on request, or all promises kept; 1 one is broken; 2 wrong usage or settings.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sidecar = commands.add_parser("sidecar", help="answer a proxy's checks over HTTP")
    sidecar.add_argument("--config", type=Path, help="TOML file; the options below override it")
    for name, text in {
        "bootstrap": "Kafka brokers, host:port,host:port",
        "prefix": "prefix of the topics (brakeline)",
        "trust": "trust.json, written by brakeline keys",
        "env": "environment that commands must be signed for (production)",
        "gateway-id": "name in reports (the host's name and the port)",
        "listen": "address to serve on (127.0.0.1:8181)",
        "snapshot": "file that carries what is in force over a restart",
        "release-url": "link in refusals; {scope}, {seq} and {incident} are filled in",
    }.items():
        sidecar.add_argument(f"--{name}", help=text)
    conformance.add_to(commands)
    given = parser.parse_args(arguments)
    if given.command == "conformance":
        return conformance.run(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        settings = settings_of(given)
        trust = Trust.parse(settings.trust.read_bytes())
        client = settings.kafka.client()
        address_of(settings.listen)
    except (OSError, ValueError, msgspec.MsgspecError, tomllib.TOMLDecodeError, WireError) as error:
        print(f"brakeline-gateway: {error}", file=sys.stderr)
        return 2
    asyncio.run(serve(settings, trust, client))
    return 0


def settings_of(given: argparse.Namespace) -> Settings:
    """Merge file and options; raise OSError, TOMLDecodeError or MsgspecError."""
    content: dict[str, Any] = tomllib.loads(given.config.read_text()) if given.config else {}
    for name in ("trust", "env", "gateway_id", "listen", "snapshot", "release_url"):
        if getattr(given, name) is not None:
            content[name] = getattr(given, name)
    for name in ("bootstrap", "prefix"):
        if getattr(given, name) is not None:
            content.setdefault("kafka", {})[name] = getattr(given, name)
    return msgspec.convert(content, Settings, dec_hook=lambda _, value: Path(value))


def address_of(listen: str) -> tuple[str, int]:
    """Split an address to serve on; the host may be left out. Raises ValueError.

    >>> address_of("0.0.0.0:8181"), address_of("8181")
    (('0.0.0.0', 8181), ('127.0.0.1', 8181))
    """
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError(f"listen: {listen!r}: write HOST:PORT, such as 127.0.0.1:8181")
    return host or "127.0.0.1", int(port)


async def serve(settings: Settings, trust: Trust, client: dict[str, Any]) -> None:
    """Answer until SIGTERM or SIGINT."""
    host, port = address_of(settings.listen)
    guard = Guard(settings.env, trust, time.time(), policy=settings.policy)
    prefix = settings.kafka.prefix
    feed = Feed(
        guard,
        FeedSettings(
            gateway_id=settings.gateway_id or f"{socket.gethostname()}:{port}",
            env=settings.env,
            client=client,
            kills_topic=f"{prefix}.kills",
            acks_topic=f"{prefix}.acks",
            limits_topic=f"{prefix}.limits",
            snapshot=settings.snapshot,
            adapter="sidecar",
        ),
    )
    await feed.start()
    quieten()
    sidecar = Sidecar(guard, feed, names=settings.headers, release_url=settings.release_url)
    runner = web.AppRunner(sidecar.app(), access_log=None)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"brakeline-gateway: listening on {settings.listen}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()
        await feed.stop()
