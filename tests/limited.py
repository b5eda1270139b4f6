"""A commander on a real broker that publishes limits and shares them out."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from signing import ENV, KEYS, TRUST

from alerts.commands import Orders
from streams.commander import Commander, Wiring
from streams.limiting import Limiting, Sharing, share_limits
from streams.outlet import Outlet
from streams.settings import Settings
from streams.topics import TopicSpec, ensure_topics


class Limited(Struct, frozen=True):
    """What a test needs of it."""

    prefix: str
    wiring: Wiring
    topic: str
    settings: Settings
    commander: Commander
    sharing: Limiting


@asynccontextmanager
async def limited(kafka: str, *limits: Mapping[str, Any], topic: bool = True) -> AsyncIterator[Limited]:
    """Publish limits on topics of its own; without their `topic` where there is none."""
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    wiring, rules = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks"), f"{prefix}.limits"
    compacted = [TopicSpec(name, compacted=True) for name in (wiring.kills, *((rules,) if topic else ()))]
    await ensure_topics(wiring.client, [*compacted, TopicSpec(wiring.acks)])
    settings = Settings.model_validate({"mode": "armed", "keys": {"env": ENV}, "limits": limits})
    async with Outlet(wiring.client) as outlet:
        commander = Commander(wiring, TRUST, Orders(ENV, "w", KEYS), outlet, time.time, lambda *_: None)
        await commander.start()
        try:
            sharing = await share_limits(Sharing(settings, KEYS, TRUST, wiring.client, rules), outlet, commander)
            yield Limited(prefix, wiring, rules, settings, commander, sharing)
            sharing.stop()
        finally:
            await commander.stop()
