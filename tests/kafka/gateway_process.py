"""A gateway with its feed, to be killed by tests: each line on stdin says how late it is and who asks."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from alerts.gateway.budget import Load
from alerts.gateway.feed import Feed, FeedSettings
from alerts.gateway.gate import Gate
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Trust


async def serve(bootstrap: str, prefix: str, env: str, trust: str, snapshot: str, late_s: str) -> None:
    offset_s = float(late_s)

    def clock() -> float:
        return time.time() + offset_s

    settings = FeedSettings(
        gateway_id="gw", env=env, client={"bootstrap_servers": bootstrap}, kills_topic=f"{prefix}.kills",
        acks_topic=f"{prefix}.acks", limits_topic=f"{prefix}.limits", snapshot=Path(snapshot),
    )  # fmt: skip
    guard = Guard(env, Trust.parse(await asyncio.to_thread(Path(trust).read_bytes)), clock())
    feed = Feed(guard, settings, clock)
    await feed.start()
    gate = Gate(guard, feed, clock=clock)
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        offset_s = asked["late_s"]
        answers = [gate.check(Identity(**who), Load(**asked["load"])) for who in asked["callers"]]
        said = {"state": guard.health(clock()), "allowed": [each.allowed for each in answers]}
        print(json.dumps({**said, "reasons": [each.reason for each in answers]}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
