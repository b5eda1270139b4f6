"""A gate for any process: a thread of its own reads the kill topic, whatever the rest of the process does."""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .feed import Feed, FeedSettings
from .gate import Gate
from .guard import Guard
from .health import Policy
from .keys import Trust
from .source import source_of

STOP_S = 10.0

log = logging.getLogger(__name__)


class Connection:
    """Keeps `gate` up to date until it is closed; a context manager. Threads don't survive a fork: connect after it."""

    def __init__(self, guard: Guard, settings: FeedSettings, ready_s: float, release_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="brakeline", daemon=True)
        self._thread.start()
        self._feed = Feed(guard, settings)
        self._source = source_of(settings)
        self.gate = Gate(guard, self._feed, release_url=release_url, source=self._source)
        if not self._run(self._start(ready_s), ready_s + STOP_S):
            why = self._feed.trouble or "what is in force is not known yet"
            log.error("Not ready within %.0f s, going on to try: %s", ready_s, why)

    async def _start(self, ready_s: float) -> bool:
        await self._feed.start()
        # On a snapshot alone the guard can answer; without one it refuses until it knows.
        return self.gate.guard.can_vouch or await self._feed.wait_ready(ready_s)

    def close(self) -> None:
        """Stop reading, and report what was used; what the gate knows stays."""
        if self._loop.is_closed():
            return
        if self._source is not None:
            self._source.close()
        self._run(self._feed.stop(), STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()

    def _run(self, work: Any, limit_s: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    trust_file: str | Path,
    client: Mapping[str, Any],
    *,
    env: str = "production",
    gateway_id: str = "",
    prefix: str = "brakeline",
    snapshot: str | Path | None = None,
    policy: Policy | None = None,
    release_url: str = "",
    ready_s: float = 30.0,
    events_topic: str | None = None,
    prompt_key: bytes = b"",
) -> Connection:
    """Read what is in force and return the connection; `client` are the arguments of any aiokafka client.

    Waits `ready_s` at most: after that the gate answers by its policy until it knows. Usage is reported to
    `events_topic`, by default `<prefix>.events`; empty turns that off. With a `prompt_key` events carry a hash of the
    prompt made with it. Raises OSError or WireError for a trust file that can't be read.
    """
    settings = FeedSettings(
        gateway_id=gateway_id or f"{socket.gethostname()}:{os.getpid()}",
        env=env,
        client=client,
        kills_topic=f"{prefix}.kills",
        acks_topic=f"{prefix}.acks",
        limits_topic=f"{prefix}.limits",
        snapshot=Path(snapshot) if snapshot else None,
        adapter="sdk",
        events_topic=f"{prefix}.events" if events_topic is None else events_topic,
        prompt_key=prompt_key,
    )
    trust = Trust.parse(Path(trust_file).read_bytes())
    return Connection(Guard(env, trust, time.time(), policy=policy), settings, ready_s, release_url)
