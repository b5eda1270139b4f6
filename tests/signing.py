"""Keys and signed records for tests of the kill protocol."""

from typing import Any

from alerts.gateway.book import Book
from alerts.gateway.guard import Guard
from alerts.gateway.health import Policy
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.wire import VERSION, Command, Heartbeat, State

ENV = "test"
DETECTOR, APPROVER, COMMANDER = (SigningKey.make(role) for role in (Role.DETECTOR, Role.APPROVER, Role.COMMANDER))
STRANGER = SigningKey.make(Role.APPROVER)
KEYS = {key.role: key for key in (DETECTOR, APPROVER, COMMANDER)}
TRUST = Trust.of(*KEYS.values())


def command(scope: str = "agent:a", state: State = State.KILLED, seq: int = 1, **fields: Any) -> Command:
    given = {
        "v": VERSION, "env": ENV, "epoch": 1, "writer": "w", "issued_at": 100.0, "reason": "a loop",
        "incident_id": "i", "actor": "detector",
    }  # fmt: skip
    return Command(scope=scope, state=state, seq=seq, **(given | fields))


def heartbeat(book: Book, now_s: float, epoch: int = 1) -> bytes:
    active, digest = book.digest(now_s)
    return COMMANDER.sign(
        Heartbeat(
            v=VERSION, env=ENV, writer="w", epoch=epoch, max_seq=book.top_seq, active=active, digest=digest,
            issued_at=now_s,
        )
    )  # fmt: skip


def guard(now_s: float = 100.0, book: Book | None = None, **policy: Any) -> Guard:
    return Guard(ENV, TRUST, now_s, policy=Policy(**policy), book=book)


def live_guard(now_s: float = 100.0, book: Book | None = None, **policy: Any) -> Guard:
    made = guard(now_s, book, **policy)
    made.begin_sync()
    made.reach_end()
    made.apply("heartbeat:commander", heartbeat(made.book, now_s), now_s)
    return made
