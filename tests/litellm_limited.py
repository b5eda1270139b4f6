"""The real LiteLLM proxy under limits that a service on a real broker publishes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from limited import Limited, limited
from signing import ENV, KEYS

from alerts.gateway.keys import TrustRecord
from streams.bench.real_gateways import Kills, litellm

LIMIT = 10_000


@asynccontextmanager
async def limited_proxy(
    kafka: str, folder: Path, provider: int, workers: int = 1
) -> AsyncIterator[tuple[str, Limited]]:
    trust = folder / "trust.json"
    trust.write_bytes(msgspec.json.encode(TrustRecord([key.public() for key in KEYS.values()])))
    async with limited(kafka, {"scope": "agent:*", "tokens": LIMIT, "per": "day"}) as made:
        kills, models = Kills(kafka, made.prefix, ENV, trust), {"e": {"model": "openai/e"}}
        async with litellm(folder, kills, provider, workers, models) as url:
            yield url, made
