"""Why Kafka can't be reached, in the words of the settings: field, value, mend."""

from alerts.gateway.obstacle import Obstacle, obstacle
from streams.settings.kafka import Kafka


async def why_not(kafka: Kafka) -> str:
    """Return which setting stands in the way and what to do; empty if a broker answers.

    Raises OSError (ssl.SSLError is one) for a certificate file that can't be read.
    """
    found = await obstacle(kafka.client_kwargs())
    return "" if found is None else f"{problem(found, kafka)}; {found.mend}"


def problem(found: Obstacle, kafka: Kafka) -> str:
    """Name the field as the settings file does, what it says, and what is wrong."""
    if found.setting == "bootstrap":
        return f"kafka.bootstrap: {','.join(kafka.bootstrap)!r}: {found.problem}"
    value = getattr(kafka.security, found.setting)
    shown = "not set" if value is None else repr(str(value))
    return f"kafka.security.{found.setting}: {shown}: {found.problem}"


def mend(found: Obstacle) -> str:
    """Return what to do, as a sentence."""
    return f"{found.mend[0].upper()}{found.mend[1:]}."
