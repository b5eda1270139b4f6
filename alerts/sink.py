"""What every place that people read incidents in can do, and the ways in which it fails."""

import logging
from typing import NamedTuple, Protocol

from alerts.incident import CHAT
from alerts.message import View, plain


class Place(NamedTuple):
    """Where a message is: a sink's channel and its name for the message."""

    channel: str = ""
    message: str = ""


class SinkError(Exception):
    """A message was not sent, for now."""


class NotSent(SinkError):
    """The message surely did not arrive; try again later."""


class RateLimited(NotSent):
    """The sink asks for `retry_after_s` of silence."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"rate limited for {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class Uncertain(SinkError):
    """The message may have arrived: look for it before it is sent again."""


class Refused(SinkError):
    """The sink will never take this message, but takes others."""


class Gone(SinkError):
    """The message to change is no longer there."""


class Sink(Protocol):
    """A place that people read incidents in.

    A method raises a `SinkError` and nothing else; it is one attempt and never retries by itself.
    """

    name: str

    async def post(self, view: View) -> Place:
        """Send the first message of an incident."""

    async def update(self, place: Place, view: View) -> None:
        """Change the message at `place` to what is true now."""

    async def nudge(self, place: Place, view: View) -> None:
        """Tell people again about the message at `place`."""

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        """Look for the incident's message among those sent since then."""


class LogSink:
    """The same incident text in the log, for who has no other sink."""

    def __init__(self, name: str = CHAT, logger: logging.Logger | None = None) -> None:
        self.name = name
        self._log = logger or logging.getLogger("brakeline.incidents")

    async def post(self, view: View) -> Place:
        """Log the whole incident."""
        level = logging.WARNING if view.incident.active else logging.INFO
        self._log.log(level, "%s", plain(view))
        return Place("log", view.incident.id)

    async def update(self, place: Place, view: View) -> None:
        """Log the incident as it is now, if something happened that is worth a line."""
        delivery = view.incident.deliveries.get(self.name)
        if delivery is None or view.incident.urgent > delivery.revision:
            await self.post(view)

    async def nudge(self, place: Place, view: View) -> None:
        """Log the whole incident again."""
        await self.post(view)

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        """A log is not looked through: an incident may be in it twice after a crash."""
        return None
