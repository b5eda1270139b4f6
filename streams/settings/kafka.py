"""Where Kafka is, how to get in, and which topics are used."""

import ssl
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, WithJsonSchema, field_validator, model_validator

from streams.settings.section import Count, FilePath, Section, TopicName

_ADDRESSES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

Address = Annotated[str, Field(pattern=r"^\S+:\d{1,5}$")]


class Security(Section):
    """How the brokers are spoken to; the default is a plain connection, for trying out."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: FilePath | None = None
    """Certificates to trust, PEM; without it the system's."""
    cert_file: FilePath | None = None
    """Our own certificate for mutual TLS, PEM, with its chain."""
    key_file: FilePath | None = None
    key_password: SecretStr | None = None
    check_hostname: bool = True

    @model_validator(mode="after")
    def _complete(self) -> "Security":
        if self.protocol.startswith("SASL") and (self.username is None or self.password is None):
            raise ValueError(f"{self.protocol} needs username and password")
        if not self.protocol.startswith("SASL") and (self.username is not None or self.password is not None):
            raise ValueError(f"username and password do nothing with {self.protocol}; set protocol: SASL_SSL")
        if not self.protocol.endswith("SSL") and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError(f"certificates do nothing with {self.protocol}; set protocol: SSL or SASL_SSL")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; give both or neither")
        return self

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the TLS context, reading the certificate files; None without TLS.

        Raises OSError or ssl.SSLError when a file is missing or unusable.
        """
        if not self.protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        context.check_hostname = self.check_hostname
        if self.cert_file is not None:
            password = self.key_password.get_secret_value() if self.key_password else None
            context.load_cert_chain(self.cert_file, self.key_file, password)
        return context


class Kafka(Section):
    """The cluster; `bootstrap` lists host:port, separated by commas or as a YAML list."""

    bootstrap: Annotated[tuple[Address, ...], WithJsonSchema(_ADDRESSES)] = ("127.0.0.1:9092",)
    security: Security = Security()
    request_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 15_000
    session_timeout_ms: Annotated[int, Field(ge=6_000, le=60_000)] = 12_000
    """How long a silent worker keeps its partitions."""
    transactions: bool = True
    """Kafka itself shuts out a worker that was frozen while another took over; false for a cluster without them."""

    @field_validator("bootstrap", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not parts:
            raise ValueError("name at least one broker, host:port")
        return parts

    def client_kwargs(self) -> dict[str, Any]:
        """Return the arguments that every aiokafka client shares; reads the certificate files."""
        kwargs: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "request_timeout_ms": self.request_timeout_ms,
            "security_protocol": self.security.protocol,
        }
        context = self.security.ssl_context()
        if context is not None:
            kwargs["ssl_context"] = context
        if self.security.protocol.startswith("SASL"):
            kwargs["sasl_mechanism"] = self.security.mechanism
            kwargs["sasl_plain_username"] = self.security.username
            kwargs["sasl_plain_password"] = self.security.password.get_secret_value() if self.security.password else ""
        return kwargs


class Topics(Section):
    """Names and shape of the topics; all but `events` are named `<prefix>.<what>`."""

    prefix: TopicName = "brakeline"
    events: tuple[TopicName, ...] = ()
    """Topics that token events arrive on; empty means `<prefix>.events`."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Of an events topic that we create; one worker handles at least one partition."""
    replication: Annotated[int, Field(ge=1, le=10)] | None = None
    """Copies of each partition; without it 3, or as many as there are brokers."""
    timestamp_type: Literal["append", "create"] = "append"
    """Clock of the events topic: the broker's (append) or the producer's (create, for replays)."""
    create: bool = True
    """Create what is missing when the service starts."""
    retention_h: Count = 168

    @property
    def event_topics(self) -> tuple[str, ...]:
        """Topics that token events arrive on."""
        return self.events or (self.named("events"),)

    def named(self, what: str) -> str:
        """Return the full name of one of our topics: `kills` -> `brakeline.kills`."""
        return f"{self.prefix}.{what}"
