"""What the in-process adapters share: ask the guard, count, say no."""

import threading
import time
from collections.abc import Callable

from .feed import Feed
from .guard import Guard
from .identity import Answer, Identity, denial_body, denial_headers
from .source import Source


class Gate:
    """A guard with a clock and a lock: safe to ask from any thread. Adapters report usage to its `source`, if any."""

    def __init__(
        self,
        guard: Guard,
        feed: Feed | None = None,
        *,
        release_url: str = "",
        clock: Callable[[], float] = time.time,
        note: Callable[[Answer, float], None] = lambda _answer, _seconds: None,
        source: Source | None = None,
    ) -> None:
        self.guard = guard
        self.source = source
        self._feed = feed
        self._release_url = release_url
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()

    def check(self, who: Identity) -> Answer:
        """Say whether a call may go out."""
        started = time.perf_counter()
        with self._lock:
            answer = self.guard.check(who, self._clock())
            if self._feed is not None and not answer.allowed:
                self._feed.denied_calls += 1
        self._note(answer, time.perf_counter() - started)
        return answer

    def cut(self, who: Identity) -> Answer | None:
        """Say whether a call under way must end."""
        with self._lock:
            return self.guard.cut(who, self._clock())

    def refusal(self, answer: Answer) -> tuple[bytes, dict[str, str]]:
        """Return the body and headers of a 403."""
        headers = denial_headers(answer)
        if answer.retry_after_s:
            headers["retry-after"] = str(int(answer.retry_after_s) + 1)
        return denial_body(answer, self._release_url), headers
