"""Brings incidents to one sink: one at a time, the latest state of each, and never twice if it can be helped."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from alerts.gateway.ending import end
from alerts.incident import Incident
from alerts.incidents import Book
from alerts.message import View, plain
from alerts.notices import NEVER, Notice, Telling, due, given_up, intending, not_sent, nudged_at, told
from alerts.sink import Gone, NotSent, Place, RateLimited, Refused, Sink, SinkError, Uncertain

BACKOFF_MAX_S = 60.0
IDLE_S = 0.5
LOGGED_MAX = 1_000

log = logging.getLogger(__name__)
Posted = Callable[[Incident, Place], Awaitable[None]]
Counted = Callable[[str, str], None]
Answer = TypeVar("Answer")


def uncounted(_sink: str, _outcome: str) -> None:
    """Count nothing."""


class Keeper(Protocol):
    """Who holds the incidents and makes their rows durable."""

    book: Book

    async def save(self, ids: Iterable[str]) -> None:
        """Return when the rows of these incidents are durable."""

    def view(self, incident: Incident) -> View:
        """Return the incident as a sink shows it."""


class Courier:
    """One sink's errands. `now_s` is its only clock; a failure delays this sink and no other."""

    def __init__(
        self,
        keeper: Keeper,
        sink: Sink,
        *,
        telling: Telling,
        now_s: Callable[[], float],
        pace_s: float = 0.0,
        counted: Counted = uncounted,
        posted: Posted | None = None,
    ) -> None:
        self.sink = sink
        self.failures = 0
        self._keeper = keeper
        self._telling = telling
        self._now_s = now_s
        self._pace_s = pace_s
        self._counted = counted
        self._posted = posted
        self.news = asyncio.Event()
        """Says that something may be due."""
        self._retired = asyncio.Event()
        self._resume_s = 0.0
        self._tries: Counter[str] = Counter()
        self._logged: set[str] = set()
        self._asides: set[asyncio.Task[None]] = set()

    def adapt(self, telling: Telling, pace_s: float, posted: Posted | None) -> None:
        """Tell like this from now on."""
        self._telling, self._pace_s, self._posted = telling, pace_s, posted
        self.news.set()

    def retire(self) -> None:
        """Finish the errand under way, and begin no other."""
        self._retired.set()
        self.news.set()

    async def run(self) -> None:
        """Send what is due until cancelled or retired."""
        while not self._retired.is_set():
            self.news.clear()
            wait_s = await self.turn()
            if wait_s > 0 and not self._retired.is_set():
                blocked = self._now_s() < self._resume_s
                try:
                    async with asyncio.timeout(wait_s):
                        await (self._retired if blocked else self.news).wait()
                except TimeoutError:
                    pass

    async def turn(self) -> float:
        """Send the most important thing that is due; return in how many seconds to look again."""
        now_s = self._now_s()
        if now_s < self._resume_s:
            return self._resume_s - now_s
        notices = due(self._keeper.book, self.sink.name, self._telling, now_s)
        if not notices:
            return IDLE_S
        # What failed goes behind what was tried less often: one message can't hold up the others.
        await self._attempt(min(notices, key=lambda notice: self._tries[notice.incident]))
        return max(self._resume_s - self._now_s(), 0.0)

    async def close(self) -> None:
        """End what is still going on beside the messages."""
        await end(self._asides)

    async def _attempt(self, notice: Notice) -> None:
        incident = self._keeper.book.incidents[notice.incident]
        place = self._place(incident)
        self._resume_s = self._now_s() + self._pace_s
        try:
            if notice.need == "post" or not place.message:
                await self._post(incident, notice)
            elif notice.need == "update":
                await _asked(self.sink.update(place, self._keeper.view(incident)))
                await self._told(incident, place)
            else:
                await self._nudge(incident, place)
        except Gone:
            await self._keep(incident.id, lambda now: not_sent(now, self.sink.name))
        except Refused as error:
            log.error("%s refuses incident %s: %s", self.sink.name, incident.id, error)
            await self._give_up(incident, str(error))
        except SinkError as error:
            self._failed(incident, error)
        else:
            self._worked(incident)

    async def _post(self, incident: Incident, notice: Notice) -> None:
        """Send a first message; the intent is durable before, so that a crash is known to have been one."""
        delivery = incident.deliveries.get(self.sink.name, NEVER)
        if notice.uncertain:
            found = await _asked(self.sink.find(incident.id, delivery.intent_s))
            if found is not None:
                await self._told(replace(STALE, id=incident.id), found)
                return
            if incident.parent:
                await self._keep(incident.id, lambda now: not_sent(now, self.sink.name))
                return
        else:
            await self._keep(incident.id, lambda now: intending(now, self.sink.name, self._now_s()))
        said = self._keeper.book.incidents.get(incident.id, incident)
        try:
            place = await _asked(self.sink.post(self._keeper.view(said)))
        except NotSent:
            if not notice.uncertain:
                await self._keep(incident.id, lambda now: not_sent(now, self.sink.name))
            raise
        await self._told(said, place)
        if self._posted is not None:
            self._aside(self._posted(said, place))

    async def _nudge(self, incident: Incident, place: Place) -> None:
        try:
            await _asked(self.sink.nudge(place, self._keeper.view(incident)))
        except Uncertain as error:
            # Told twice is worse than perhaps not told again: the message itself is there.
            log.warning("%s may not have repeated incident %s: %s", self.sink.name, incident.id, error)
        await self._keep(incident.id, lambda now: nudged_at(now, self.sink.name, incident, self._now_s()))

    async def _told(self, said: Incident, place: Place) -> None:
        await self._keep(said.id, lambda now: told(now, self.sink.name, said, place, self._now_s()))

    async def _give_up(self, said: Incident, why: str) -> None:
        self._counted(self.sink.name, "refused")
        await self._keep(said.id, lambda now: given_up(now, self.sink.name, said, why, self._now_s()))

    async def _keep(self, name: str, change: Callable[[Incident], Incident]) -> None:
        """Apply `change` to the incident as it is by now; it may have been retired meanwhile."""
        incident = self._keeper.book.incidents.get(name)
        if incident is not None:
            await self._keeper.save(self._keeper.book.update(change(incident)))

    def _place(self, incident: Incident) -> Place:
        delivery = incident.deliveries.get(self.sink.name, NEVER)
        return Place(delivery.channel, delivery.message)

    def _failed(self, incident: Incident, error: SinkError) -> None:
        """Wait before the next try; say once an outage which incidents nobody was told of."""
        limited = isinstance(error, RateLimited)
        self._counted(self.sink.name, "limited" if limited else "failed")
        if isinstance(error, RateLimited):
            self._resume_s = self._now_s() + error.retry_after_s
            return
        self._resume_s = self._now_s() + min(BACKOFF_MAX_S, 2.0 ** min(self.failures, 10))
        self.failures += 1
        self._tries[incident.id] += 1
        for notice in due(self._keeper.book, self.sink.name, self._telling, self._now_s()):
            if notice.need == "post" and notice.incident not in self._logged and len(self._logged) < LOGGED_MAX:
                self._logged.add(notice.incident)
                text = plain(self._keeper.view(self._keeper.book.incidents[notice.incident]))
                log.warning("%s is failing (%s); not told yet: %s", self.sink.name, error, text)

    def _worked(self, incident: Incident) -> None:
        self._counted(self.sink.name, "sent")
        if self.failures:
            log.warning("%s works again after %d failures", self.sink.name, self.failures)
        self.failures = 0
        del self._tries[incident.id]
        self._logged.clear()

    def _aside(self, errand: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_quietly(errand))
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)


STALE = Incident(id="", scope="", revision=0, urgent=0)
"""What a message found again is taken to say: nothing of what is known now."""


async def _asked(errand: Awaitable[Answer]) -> Answer:
    """Await a sink; its fault with one message must not end the others."""
    try:
        return await errand
    except SinkError:
        raise
    except Exception as error:
        raise Refused(f"{type(error).__name__}: {error}") from error


async def _quietly(errand: Awaitable[None]) -> None:
    try:
        await errand
    except Exception as error:
        log.warning("an errand beside a message failed: %s: %s", type(error).__name__, error)
