"""Why Kafka can't be reached: aiokafka's clients log the cause and raise only that there is one."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest
from msgspec import Struct

ANSWER_S = 5.0
_HOSTNAME = (62, 64)
"""What OpenSSL says of a certificate that is for another name or address."""
_USED = ("security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password")


class Obstacle(Struct, frozen=True):
    """What is in the way: the setting it hangs on (`bootstrap`, `ca_file`, ...), what is wrong, and the mend."""

    setting: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.mend}"


async def obstacle(client: Mapping[str, Any], answer_s: float = ANSWER_S) -> Obstacle | None:
    """Try each broker of `client` (the arguments of any aiokafka client); None if one answers."""
    servers = client["bootstrap_servers"]
    found = None
    for address in servers.split(",") if isinstance(servers, str) else servers:
        try:
            async with asyncio.timeout(answer_s):
                await _ask(address.strip(), client, answer_s)
            return None
        except (KafkaError, OSError, EOFError, TimeoutError, ValueError) as error:
            # One that speaks and refuses says more than one that is down.
            if found is None or found.setting == "bootstrap":
                found = _explained(address.strip(), client, error)
    return found


async def cause(client: Mapping[str, Any], error: Exception) -> str:
    """Return what is behind an error of a client with these arguments, in words."""
    found = await obstacle(client) if isinstance(error, KafkaConnectionError) else None
    return repr(error) if found is None else f"{found.setting}: {found}"


async def _ask(address: str, client: Mapping[str, Any], answer_s: float) -> None:
    host, _, port = address.rpartition(":")
    given = {name: client[name] for name in _USED if client.get(name) is not None}
    connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=int(answer_s * 1000), **given)
    try:
        # Which versions it speaks a broker tells everybody; the first real question shows whether we are let in.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _explained(address: str, client: Mapping[str, Any], error: BaseException) -> Obstacle:
    protocol = client.get("security_protocol", "PLAINTEXT")
    user = client.get("sasl_plain_username")
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _of_certificate(address, cause)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(address, protocol, cause)
    if isinstance(error, SaslAuthenticationFailed):
        return Obstacle(
            "username", f"{address} refuses user {user!r} with this password", "correct username or password"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        mechanism = client.get("sasl_mechanism")
        mend = f"set mechanism to one that it offers ({str(error).rpartition('are ')[2] or 'ask its owner'})"
        return Obstacle("mechanism", f"{address} does not offer {mechanism}", mend)
    if isinstance(error, socket.gaierror):
        return Obstacle("bootstrap", f"{address}: no such host", "correct the name, or the DNS")
    if isinstance(error, ConnectionRefusedError):
        return Obstacle("bootstrap", f"{address}: nobody listens there", "start the broker, or correct host and port")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return Obstacle(
            "bootstrap", f"{address}: no answer in time", f"look at the network, and whether it speaks {protocol}"
        )
    if isinstance(error, KafkaError | EOFError | ConnectionError):
        return Obstacle("protocol", f"{address} hangs up on {protocol}", "set protocol to what this listener speaks")
    return Obstacle("bootstrap", f"{address}: {error}", "correct host and port")


def _of_certificate(address: str, error: ssl.SSLCertVerificationError) -> Obstacle:
    if error.verify_code in _HOSTNAME:
        mend = "use a name that it is for (bootstrap), or set check_hostname: false where nobody else can listen"
        return Obstacle("check_hostname", f"{address}: its certificate is for another name", mend)
    problem = f"{address}: its certificate is not trusted ({error.verify_message})"
    return Obstacle("ca_file", problem, "give the certificate of the authority that signed the broker's")


def _of_tls(address: str, protocol: str, error: ssl.SSLError) -> Obstacle:
    reason = str(error.reason or error).lower().replace("_", " ")
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        mend = "give cert_file and key_file, signed by an authority that the broker trusts"
        return Obstacle("cert_file", f"{address} wants another certificate of ours ({reason})", mend)
    return Obstacle("protocol", f"{address} does not speak TLS as {protocol} wants it ({reason})", "set protocol")
