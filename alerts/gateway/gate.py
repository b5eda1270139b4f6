"""What the in-process adapters share: ask the guard, count, say no."""

import threading
import time
from collections.abc import Callable

from .accounts import Ticket, Use
from .admission import Admission
from .budget import Load
from .feed import Feed
from .guard import Guard
from .identity import Answer, Identity, denial_body, denial_headers
from .source import Source
from .usage import Usage


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
        self._lock = feed.lock if feed is not None else threading.Lock()

    def begin(self, who: Identity, load: Load | None = None) -> Admission:
        """Ask for a call, and follow it to be settled; see its `answer`."""
        return Admission(self, who, self.check(who, load), load)

    def check(self, who: Identity, load: Load | None = None) -> Answer:
        """Say whether a call may go out; what it may take is reserved until `settle`."""
        started = time.perf_counter()
        with self._lock:
            now_s = self._clock()
            answer = self.guard.check(who, now_s, load)
            if self._feed is not None:
                if not answer.allowed:
                    self._feed.denied.count(answer, now_s)
                if self.guard.approvals.words:
                    self._feed.wake()
        self._note(answer, time.perf_counter() - started)
        return answer

    def cut(self, who: Identity) -> Answer | None:
        """Say whether a call under way must end."""
        with self._lock:
            return self.guard.cut(who, self._clock())

    def refusal(self, answer: Answer) -> tuple[bytes, dict[str, str]]:
        """Return the body and headers of a 403."""
        return denial_body(answer, self._release_url), denial_headers(answer)

    def lose(self, ticket: Ticket) -> None:
        """Let a reservation stand for what a call took."""
        with self._lock:
            self.guard.budget.settle(ticket, ticket.estimate)

    def settle(self, ticket: Ticket, usage: Usage, model: str, cost_micro_usd: int | None = None) -> None:
        """Replace a reservation with what a call took; `cost_micro_usd` where an adapter knows better."""
        with self._lock:
            budget = self.guard.budget
            cost = budget.prices.of(model).micro_usd(usage) if cost_micro_usd is None else cost_micro_usd
            budget.settle(ticket, Use(cost, usage.input_tokens + usage.output_tokens))
