"""Everything that the page shows, gathered from the topics. It reads no clock: whoever asks says the time."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from msgspec import DecodeError, Struct, json

from alerts.commands import Orders
from alerts.decision import Decision
from alerts.desk import Audited
from alerts.gateway.asking import decode_word
from alerts.gateway.wire import Command, WireError, decode_ack
from alerts.incident import LADDER, Incident, decode_row
from alerts.incidents import Book
from alerts.obedience import decode_disobedience
from streams.pulse import decode_hour, decode_pulse
from streams.web.accounts import Accounts
from streams.web.agents import Agents
from streams.web.calls import RecentCalls
from streams.web.obedience import Obedience

COMMANDS_KEPT = 2_000
DECISIONS_KEPT = 20_000
AUDIT_KEPT = 5_000

_decisions = json.Decoder(Decision)
_audit = json.Decoder(Audited)


class Read(Struct):
    """How much was read of the topics, and whether it was all that there was when the page began."""

    records: int = 0
    unreadable: int = 0
    complete: bool = False
    last_s: float = 0.0
    """When the last record came, by this machine's clock."""
    beat_s: float = 0.0
    """When the commander's last heartbeat was written."""


class Board:
    """What one worker's page knows; every worker's knows the same, since all read the same topics."""

    def __init__(self, env: str, orders: Orders, calls_kept: int) -> None:
        self.env = env
        self.orders = orders
        self._takes: dict[str, Callable[[bytes | None, bytes | None], bool]] = {
            "pulse": self._pulse,
            "spend": self._spend,
            "incidents": self._incident,
            "acks": self._ack,
            "decisions": self._decision,
            "audit": self._audited,
        }
        self.calls = RecentCalls(calls_kept)
        self.clear()

    def clear(self) -> None:
        """Forget all that was read; what is in force stays."""
        self.calls = RecentCalls(self.calls.kept)
        self.agents = Agents()
        self.accounts = Accounts()
        self.obedience = Obedience()
        self.book = Book()
        self.commands: deque[Command] = deque(maxlen=COMMANDS_KEPT)
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS_KEPT)
        self.audit: deque[Audited] = deque(maxlen=AUDIT_KEPT)
        self.read = Read()
        self._ordered = -1

    def take(self, what: str, key: bytes | None, value: bytes | None, now_s: float) -> None:
        """Take in a record of one of our topics, named without its prefix."""
        self.read.records += 1
        self.read.last_s = now_s
        if not self._takes[what](key, value):
            self.read.unreadable += 1

    def ordered(self, command: Command, offset: int) -> None:
        """Take in a command of the kill topic whose signature was verified; one that was read before is left out."""
        if offset <= self._ordered:
            return
        self._ordered = offset
        self.commands.append(command)
        self.obedience.ordered(command, offset)

    def _pulse(self, _key: bytes | None, value: bytes | None) -> bool:
        pulse = decode_pulse(value)
        if pulse is not None:
            self.agents.take(pulse)
            self.calls.add(pulse.calls)
        return pulse is not None

    def _spend(self, _key: bytes | None, value: bytes | None) -> bool:
        hour = decode_hour(value)
        if hour is not None:
            self.accounts.take(hour)
        return hour is not None

    def _incident(self, key: bytes | None, value: bytes | None) -> bool:
        name = (key or b"").decode("utf-8", "replace")
        try:
            if value is not None:
                self.book.keep(decode_row(value))
            elif name in self.book.incidents:
                self.book.forget(name)
        except DecodeError:
            return False
        return True

    def _ack(self, _key: bytes | None, value: bytes | None) -> bool:
        try:
            ack = decode_ack(value or b"")
        except WireError:
            return self._other_word(value or b"")
        if ack.env == self.env:
            self.obedience.report(ack)
        return True

    def _other_word(self, value: bytes) -> bool:
        """Take in what is no ack: calls that a worker saw of a stopped scope, a gateway's word about approvals."""
        try:
            seen = decode_disobedience(value)
        except DecodeError:
            with suppress(DecodeError):
                return bool(decode_word(value))
            return False
        if seen.scope.startswith("run:"):
            self.agents.runs.leaked(seen)
        return True

    def _decision(self, _key: bytes | None, value: bytes | None) -> bool:
        try:
            self.decisions.append(_decisions.decode(value or b""))
        except DecodeError:
            return b'"verb"' in (value or b"")
        return True

    def _audited(self, _key: bytes | None, value: bytes | None) -> bool:
        try:
            self.audit.append(_audit.decode(value or b""))
        except DecodeError:
            return False
        return True

    # Questions

    def lookup(self, name: str) -> tuple[Incident, list[Incident]] | None:
        """Return an incident with those that it speaks for."""
        incident = self.book.find(name)
        return None if incident is None else (incident, self.book.members(incident.id))

    def in_force(self, now_s: float) -> list[Command]:
        """Return the commands in force, the latest first."""
        return sorted(self.orders.active(now_s), key=lambda command: -command.issued_at)

    def incidents(self) -> list[Incident]:
        """Return all incidents that nobody else speaks for: active ones first, the gravest first, then the latest."""

        def grave(incident: Incident) -> tuple[bool, bool, int, float]:
            active = incident.active or bool(incident.in_force)
            return (not active, active and incident.shadow, -LADDER[incident.action] * active, -incident.opened_s)

        return sorted((i for i in self.book.incidents.values() if not i.parent), key=grave)
