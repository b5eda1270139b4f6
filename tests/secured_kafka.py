"""A real Kafka that lets in only who it knows: SASL_SSL with SCRAM, mutual TLS, and rights for each user."""

import datetime
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from real_kafka import free_ports, need_tools, running

USER, PASSWORD, STRANGER = "brakeline", "correct-horse", "stranger"
SUBJECT = "User:CN=gateway"


@dataclass(frozen=True)
class Secured:
    """Where its listeners are, and the files to get in."""

    plain: str
    scram: str
    mutual: str
    folder: Path

    def by_password(self, user: str = USER, password: str = PASSWORD, ca: str = "ca") -> dict[str, Any]:
        """Return the `kafka` section of the settings for SASL_SSL with SCRAM."""
        security = {"protocol": "SASL_SSL", "username": user, "password": password, "ca_file": self.file(f"{ca}.pem")}
        return {"bootstrap": self.scram, "session_timeout_ms": 6_000, "security": security}

    def by_certificate(self, name: str = "gateway") -> dict[str, Any]:
        """Return the `kafka` section of the settings for mutual TLS."""
        files = {"cert_file": self.file(f"{name}.pem"), "key_file": self.file(f"{name}.key")}
        security = {"protocol": "SSL", "ca_file": self.file("ca.pem"), **files}
        return {"bootstrap": self.mutual, "session_timeout_ms": 6_000, "security": security}

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def allow(self, principal: str, rights: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        """Allow operations by kind ("topic", "group", "transactional-id") and name of a resource."""
        bindings = [
            AclBinding(
                ResourceType[kind.upper().replace("-", "_")], name, ResourcePatternType.LITERAL, principal, "*",
                AclOperation[operation], AclPermissionType.ALLOW,
            )
            for (kind, name), operations in rights.items()
            for operation in operations
        ]  # fmt: skip
        admin = AdminClient({"bootstrap.servers": self.plain})
        for future in admin.create_acls(bindings).values():
            future.result(10)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[Secured]:
    need_tools()
    port, controller_port, scram, mutual = free_ports(4)
    authority = Authority("Brakeline's tests")
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "other.pem").write_bytes(Authority("Somebody else").pem)
    for name in ("broker", "gateway"):
        certificate, key = authority.issue(name)
        (folder / f"{name}.pem").write_bytes(certificate)
        (folder / f"{name}.key").write_bytes(key)
    (folder / "store.pem").write_bytes((folder / "broker.key").read_bytes() + (folder / "broker.pem").read_bytes())
    users = [f"SCRAM-SHA-512=[name={name},password={PASSWORD}]" for name in (USER, STRANGER)]
    (folder / "users").write_text("\n".join([*users, ""]))
    (folder / "secured.properties").write_text(properties(folder, port, controller_port, scram, mutual))
    files = {"KAFKA_PROPERTIES": str(folder / "secured.properties"), "KAFKA_SCRAM": str(folder / "users")}
    with running(folder, port, controller_port, **files):
        yield Secured(*(f"127.0.0.1:{each}" for each in (port, scram, mutual)), folder)


def properties(folder: Path, port: int, controller_port: int, scram: int, mutual: int) -> str:
    """The plain listener is for the test itself, whoever comes there may do all."""
    outer = f"PLAINTEXT://127.0.0.1:{port},SCRAM://127.0.0.1:{scram},MUTUAL://127.0.0.1:{mutual}"
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return f"""
listeners={outer},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={outer}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config={login}
listener.name.mutual.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/store.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class Authority:
    """Signs certificates for this machine's loopback address, valid for an hour."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = named(name)
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Return a certificate and its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = self._builder(named(name), key)
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return pem, key.private_bytes(*form)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
