"""How far a gateway can be relied on: the states of the kill protocol. Pure: it is told the time."""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from .book import Book
from .wire import Heartbeat


class Health(StrEnum):
    """A gateway's state."""

    BOOT = "boot"
    SYNCING = "syncing"
    LIVE = "live"
    STALE = "stale"
    UNTRUSTED = "untrusted"


class Policy(Struct, frozen=True, kw_only=True):
    """What a gateway does when it can't be sure. Durations are seconds.

    `unsynced` is for a gateway that knows nothing at all: no snapshot, and the topic not read to its end.
    `stale` is for scopes without a command while no heartbeat is heard; `closed_scopes` are closed even if
    the rest is open. Closing waits for `closed_after_s`.
    """

    stale_after_s: float = 10.0
    skew_s: float = 5.0
    boot_wait_s: float = 5.0
    distrust_s: float = 30.0
    mismatches_max: int = 2
    unsynced: Literal["open", "closed"] = "closed"
    stale: Literal["open", "closed"] = "open"
    closed_after_s: float = 60.0
    closed_scopes: frozenset[str] = frozenset()


class Watch:
    """Listens to heartbeats and alarms, and says what they amount to."""

    def __init__(self, policy: Policy, now_s: float) -> None:
        self.policy = policy
        self.is_sure = False
        """Whether it knows all that is in force, and would refuse nobody on becoming stale."""
        self.reading = False
        self.at_end = False
        self.synced = False
        self.restored = False
        self.settled = False
        """The last record of all was a fresh heartbeat that matched."""
        self.last: Heartbeat | None = None
        self.alarms = 0
        self._started_s = now_s
        self._heard_s = float("-inf")
        self._mismatches = 0
        self.rules_missing = False
        """Whether the last heartbeat named rules that have not been read."""
        self._rules_awaited = ""
        self._distrusted_since_s = self._distrusted_until_s = float("-inf")

    def health(self, now_s: float) -> Health:
        """Return the state at `now_s`."""
        if not self.synced:
            if self.restored and now_s - self._started_s > self.policy.boot_wait_s:
                return Health.STALE
            return Health.SYNCING if self.reading else Health.BOOT
        if now_s < self._distrusted_until_s or self._mismatches > self.policy.mismatches_max:
            return Health.UNTRUSTED
        return Health.STALE if now_s - self._heard_s > self.policy.stale_after_s else Health.LIVE

    def heartbeat_age_s(self, now_s: float) -> float:
        """Seconds since a fresh heartbeat; infinity before the first."""
        return now_s - self._heard_s

    def unsure_s(self, now_s: float) -> float:
        """Seconds since it was last known to be up to date; 0 while it is."""
        health = self.health(now_s)
        if health is Health.LIVE:
            return 0.0
        if health is Health.UNTRUSTED:
            return now_s - self._distrusted_since_s
        return now_s - max(self._heard_s, self._started_s)

    def reach_end(self) -> None:
        """Take in that the topic was read to the end captured at the start."""
        self.at_end = True
        if self.settled:
            self._sync()

    def alarm(self, now_s: float) -> None:
        """Take in that something could not be believed."""
        self.alarms += 1
        if now_s >= self._distrusted_until_s:
            self._distrusted_since_s = now_s
        self._distrusted_until_s = now_s + self.policy.distrust_s

    def interrupt(self) -> None:
        """Take in that another record of the kill topic has come."""
        self.settled = False
        self._rules_awaited = ""

    def learn_rules(self, rules: str) -> None:
        """Take in the rules' digest: the last heartbeat may have waited for just these."""
        if rules and rules == self._rules_awaited:
            self._settle()

    def _settle(self) -> None:
        self._mismatches = 0
        self._rules_awaited, self.rules_missing = "", False
        self.settled = True
        if self.at_end:
            self._sync()

    def _sync(self) -> None:
        self.synced = True
        self.is_sure = self.policy.stale == "open" and not self.policy.closed_scopes

    def hear(self, heartbeat: Heartbeat, book: Book, now_s: float, rules: str = "") -> str | None:
        """Compare a verified heartbeat with what is known; return what is wrong with it, None if it is old."""
        last = self.last
        if last is not None and (heartbeat.epoch, heartbeat.issued_at) <= (last.epoch, last.issued_at):
            return None
        self.last = heartbeat
        if not -self.policy.skew_s <= now_s - heartbeat.issued_at <= self.policy.stale_after_s:
            return "not fresh"
        self._heard_s = now_s
        agrees = book.digest(heartbeat.issued_at) == (heartbeat.active, heartbeat.digest)
        if agrees and heartbeat.rules in ("", rules):
            self._settle()
            return ""
        if agrees:
            self._rules_awaited, self.rules_missing = heartbeat.rules, True
        self._mismatches += 1
        if self._mismatches == self.policy.mismatches_max + 1:
            self._distrusted_since_s = now_s
        return "the rules are not those in force" if agrees else "the digest differs: a record is missing or was undone"
