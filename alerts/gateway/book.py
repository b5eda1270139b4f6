"""The latest accepted command of every scope, and the digest of those in force.

The commander and every gateway keep the same book by the same rules, so their digests agree by construction.
"""

from enum import StrEnum
from heapq import heappop, heappush

from msgspec import Struct

from .keys import Role, Signed
from .wire import Command, State, fingerprint

DIGEST_MODULUS = 1 << 128


class Entry(Struct, frozen=True, gc=False):
    """An accepted command; `value` is the record as it was read, to hand on unchanged."""

    command: Command
    value: bytes
    mark: int
    """Fingerprint of the signed bytes."""


class Verdict(StrEnum):
    """What became of a command."""

    ACCEPTED = "accepted"
    OLD = "old"
    """Its order is not above what is held: a repeat, a replay, or out of order. Harmless."""
    REFUSED = "refused"
    """It asks for what it may not, or there is no room."""


class Filed(Struct, frozen=True):
    """The answer to one command."""

    verdict: Verdict
    why: str = ""


ACCEPTED = Filed(Verdict.ACCEPTED)


class Book:
    """Entries by scope, bounded in number and bytes.

    A scope that was released or has lapsed stays, for its order: an old command can't come back. Such entries
    are the first to go when there is no room.
    """

    def __init__(self, entries_max: int = 100_000, bytes_max: int = 64 * 1024 * 1024) -> None:
        self.entries: dict[str, Entry] = {}
        self.size_bytes = 0
        self.top_seq = 0
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._sum = 0
        self.active: dict[str, Entry] = {}
        self.runs_active = 0
        self._lapses: list[tuple[float, str, int]] = []

    def get(self, scope: str) -> Command | None:
        """Return the latest command of `scope`."""
        entry = self.entries.get(scope)
        return entry.command if entry else None

    def file(self, signed: Signed, value: bytes, now_s: float) -> Filed:
        """Take a verified command in if it is newer and allowed."""
        command = signed.payload
        assert isinstance(command, Command)
        held = self.entries.get(command.scope)
        if held is not None and command.order <= held.command.order:
            return Filed(Verdict.OLD)
        if held is not None and signed.role is Role.DETECTOR:
            looser = loosens(held.command, command, now_s)
            if looser:
                return Filed(Verdict.REFUSED, looser)
        if not self._make_room(command.scope, len(value) - (len(held.value) if held else 0), held is None):
            return Filed(Verdict.REFUSED, "there is no room for it")
        if held is not None:
            self._remove(command.scope)
        self._add(Entry(command, value, fingerprint(signed.raw)))
        return ACCEPTED

    def drop_if_idle(self, scope: str, now_s: float) -> bool:
        """Forget a scope that nothing is in force for; what a tombstone may do, and no more."""
        entry = self.entries.get(scope)
        if entry is None or entry.command.in_force(now_s):
            return entry is None
        self._remove(scope)
        return True

    def digest(self, at_s: float) -> tuple[int, str]:
        """Return how many commands are in force at `at_s`, and the digest of them.

        `at_s` must not go back: what has lapsed is not counted again.
        """
        while self._lapses and self._lapses[0][0] <= at_s:
            _, scope, mark = heappop(self._lapses)
            entry = self.entries.get(scope)
            if entry is not None and entry.mark == mark:
                self._uncount(scope)
        return len(self.active), f"{self._sum:032x}"

    def in_force(self, now_s: float) -> list[Command]:
        """List what is in force, oldest first."""
        found = [entry.command for entry in self.active.values()]
        return sorted((each for each in found if each.in_force(now_s)), key=lambda each: each.issued_at)

    def _add(self, entry: Entry) -> None:
        command = entry.command
        self.entries[command.scope] = entry
        self.size_bytes += len(entry.value)
        self.top_seq = max(self.top_seq, command.seq)
        if command.state is State.RELEASED:
            return
        self.active[command.scope] = entry
        self.runs_active += command.scope.startswith("run:")
        self._sum = (self._sum + entry.mark) % DIGEST_MODULUS
        if command.ends_s != float("inf"):
            heappush(self._lapses, (command.ends_s, command.scope, entry.mark))

    def _remove(self, scope: str) -> None:
        self._uncount(scope)
        self.size_bytes -= len(self.entries.pop(scope).value)

    def _uncount(self, scope: str) -> None:
        if scope in self.active:
            del self.active[scope]
            self.runs_active -= scope.startswith("run:")
            self._sum = (self._sum - self.entries[scope].mark) % DIGEST_MODULUS

    def _make_room(self, scope: str, more_bytes: int, is_new: bool) -> bool:
        def fits() -> bool:
            entries = len(self.entries) + is_new
            return entries <= self._entries_max and self.size_bytes + more_bytes <= self._bytes_max

        if fits():
            return True
        idle = [each for each in self.entries if each not in self.active and each != scope]
        for each in idle:
            self._remove(each)
            if fits():
                return True
        return False


def loosens(held: Command, new: Command, now_s: float) -> str:
    """Say what `new` would give back of `held`; a detector's key can't do that. Empty if nothing."""
    # A command dated ahead must not make what is held look lapsed.
    if not held.in_force(min(new.issued_at, now_s)):
        return ""
    if new.state.severity < held.state.severity:
        return f"a detector can't turn {held.state} into {new.state}"
    if new.ends_s < held.ends_s:
        return f"a detector can't have {held.state} end earlier"
    if new.state is State.THROTTLED is held.state and rate_of(new) > rate_of(held):
        return "a detector can't raise the rate of a throttle"
    return ""


def rate_of(command: Command) -> float:
    """Calls a minute that a throttle lets through."""
    rate = command.rate_per_min
    return rate if isinstance(rate, float | int) else float("inf")
