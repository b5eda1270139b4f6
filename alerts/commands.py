"""From a decision to a signed command: epochs, sequence numbers, and what is refused. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs, to_builtins

from alerts.approving import LASTS_S, may_not
from alerts.decision import Action, Decision
from alerts.gateway.book import Book, Verdict, loosens
from alerts.gateway.keys import Role, Signed, SigningKey, may_sign
from alerts.gateway.wire import VERSION, Command, Heartbeat, State, encode_payload, split_scope

STATES = {
    Action.THROTTLE: State.THROTTLED,
    Action.DOWNGRADE: State.DOWNGRADED,
    Action.HOLD: State.HELD,
    Action.KILL: State.KILLED,
    Action.RELEASE: State.RELEASED,
}
DETECTOR = "detector"


class RefusedError(ValueError):
    """A decision that may not become a command; the message says why and what is in force."""


class Ordered(Struct, frozen=True):
    """A command, signed: the record to be written under its scope."""

    command: Command
    value: bytes
    role: Role


class Orders:
    """What the kill topic says, and the next word on each scope. One writer owns it, named by its epoch.

    It keeps the book that every gateway keeps, by the same rules. `order` only prepares a command; it counts
    once `confirm` says that it is on the topic: what could not be written can be ordered again.

    `rate_per_min` and `models` are what a throttle and a downgrade order (see `wire.Command`).
    """

    def __init__(
        self,
        env: str,
        writer: str,
        keys: Mapping[Role, SigningKey],
        *,
        rate_per_min: float = 6.0,
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.env = env
        self.writer = writer
        self.epoch = 0
        self._keys = keys
        self._rate_per_min = rate_per_min
        self._models = dict(models or {})
        self.damaged: set[str] = set()
        self._outbid: dict[str, int] = {}
        self._book = Book(entries_max=1_000_000, bytes_max=1 << 30)
        self._dropped_seq = 0

    def observe(self, signed: Signed, value: bytes, now_s: float) -> bool:
        """Take in a verified record of the kill topic; tell whether another writer has a higher epoch."""
        payload = signed.payload
        if payload.env != self.env:
            return False
        if isinstance(payload, Command):
            accepted = self._book.file(signed, value, now_s).verdict is Verdict.ACCEPTED
            self._note_damage(payload, value, accepted)
        if payload.epoch > self.epoch:
            self.epoch = payload.epoch
            return True
        return False

    def confirm(self, ordered: Ordered, now_s: float) -> None:
        """Take in that a command has been written."""
        signed = Signed(ordered.command, encode_payload(ordered.command), ordered.role)
        self._book.file(signed, ordered.value, now_s)

    def observe_unusable(self, scope: str, value: bytes | None, now_s: float) -> None:
        """Take in a tombstone, or a record that can't be believed: it may hide a good one once compacted."""
        entry = self._book.entries.get(scope)
        if entry is not None and value is None and self._book.drop_if_idle(scope, now_s):
            self._dropped_seq = max(self._dropped_seq, entry.command.seq)
            self.damaged.discard(scope)
        elif entry is not None:
            self.damaged.add(scope)

    def repairs(self, now_s: float) -> dict[str, bytes]:
        """Return the records to be written again, by scope, and forget that they are to be.

        One that was outbid by a record with a higher order goes out under a higher one still.
        """
        found = {}
        for scope in self.damaged:
            entry = self._book.entries.get(scope)
            if entry is None:
                continue
            found[scope] = entry.value
            key = self._keys.get(Role.APPROVER)
            if scope in self._outbid and key is not None:
                held = entry.command
                seq = max(held.seq, self._outbid[scope]) + 1
                ordered = Ordered(again := structs.replace(held, epoch=self.epoch, seq=seq), key.sign(again), key.role)
                self.confirm(ordered, now_s)
                found[scope] = ordered.value
        self.damaged.clear()
        self._outbid.clear()
        return found

    def _note_damage(self, found: Command, value: bytes, accepted: bool) -> None:
        entry = self._book.entries.get(found.scope)
        if accepted or (entry is not None and entry.value == value):
            self.damaged.discard(found.scope)
        elif entry is not None:
            self.damaged.add(found.scope)
            if found.order > entry.command.order:
                self._outbid[found.scope] = found.seq

    def take_over(self) -> None:
        """Begin a new epoch above all that was observed: what an earlier writer still sends is older."""
        self.epoch += 1

    def held(self, scope: str) -> Command | None:
        """Return the last word on a scope."""
        return self._book.get(scope)

    def active(self, now_s: float) -> list[Command]:
        """Return what is in force, by scope."""
        return sorted(self._book.in_force(now_s), key=lambda c: c.scope)

    def approved(self, now_s: float) -> list[Command]:
        """Return the approvals that hold, by scope."""
        held = (entry.command for entry in self._book.entries.values())
        found = (
            each for each in held if each.state is State.RELEASED and each.use is not UNSET and now_s < each.ends_s
        )
        return sorted(found, key=lambda c: c.scope)

    def order(self, decision: Decision, now_s: float) -> Ordered | None:
        """Return the command that a decision calls for; None if there is nothing (more) to order.

        Raises RefusedError for a release of what isn't in force (any more), and for want of a key.
        """
        state = STATES.get(decision.action)
        if state is None or decision.shadow:
            return None
        held = self._book.get(decision.scope)
        refused = may_not(decision, held, now_s)
        if refused:
            raise RefusedError(f"{decision.scope} {refused}")
        if state is State.RELEASED:
            self._check_release(decision, held, now_s)
        elif self._is_settled(decision, state, held, now_s):
            return None
        command = self._command(decision, state, held, now_s)
        key = self._key(command, decision.actor)
        looser = loosens(held, command, now_s) if held and key.role is Role.DETECTOR else ""
        if looser:
            raise RefusedError(f"{decision.scope}: {looser}; an approver's key is needed")
        return Ordered(command, key.sign(command), key.role)

    def _check_release(self, decision: Decision, held: Command | None, now_s: float) -> None:
        if held is None or not held.in_force(now_s):
            raise RefusedError(f"{decision.scope} can't be released: nothing is in force")
        if decision.releases_seq is not None and decision.releases_seq != held.seq:
            raise RefusedError(
                f"{decision.scope} can't be released by seq {decision.releases_seq}: "
                f"seq {held.seq} ({held.state}, by {held.actor}) is in force; look at it, then release that"
            )

    def _is_settled(self, decision: Decision, state: State, held: Command | None, now_s: float) -> bool:
        if held is None:
            return False
        if held.state is State.RELEASED:
            # A person has released it since: neither what is read again comes back, nor what was judged before.
            known = held.incident_id == decision.incident_id or decision.actor == DETECTOR
            return known and decision.at_s <= held.issued_at
        if not held.in_force(now_s):
            # Read again after its command has lapsed, a decision must not order it anew.
            lapsed = None if held.ends_s == float("inf") else held.ends_s
            return (held.incident_id, held.state, lapsed) == (decision.incident_id, state, decision.expires_s)
        if held.incident_id == decision.incident_id and held.state is state:
            return True
        return decision.actor == DETECTOR and held.state.severity >= state.severity

    def _command(self, decision: Decision, state: State, held: Command | None, now_s: float) -> Command:
        return Command(
            v=VERSION,
            env=self.env,
            scope=decision.scope,
            state=state,
            epoch=self.epoch,
            seq=(held.seq if held else self._dropped_seq) + 1,
            writer=self.writer,
            issued_at=now_s,
            reason=decision.reason[:2000],
            incident_id=held.incident_id if held and state is State.RELEASED else decision.incident_id,
            actor=decision.actor,
            expires_at=_expiry(decision, state, held, now_s),
            evidence=_evidence(decision, held),
            rate_per_min=self._rate_per_min if state is State.THROTTLED else UNSET,
            models=self._models if state is State.DOWNGRADED else {},
            asked=decision.asked or (UNSET if held is None else held.asked),
            use=decision.use if decision.use and state is State.RELEASED else UNSET,
        )

    def _key(self, command: Command, actor: str) -> SigningKey:
        split_scope(command.scope)
        wanted = Role.DETECTOR if actor == DETECTOR else Role.APPROVER
        for role in (wanted, Role.APPROVER) if actor != DETECTOR else (wanted,):
            key = self._keys.get(role)
            if key is not None and may_sign(role, command.scope, command.state):
                return key
        if actor != DETECTOR and Role.DETECTOR in self._keys and may_sign(Role.DETECTOR, command.scope, command.state):
            return self._keys[Role.DETECTOR]
        raise RefusedError(f"no key here may have {command.scope} {command.state}: an approver's key is needed")

    @property
    def can_beat(self) -> bool:
        """Tell whether there is a key for heartbeats here."""
        return Role.COMMANDER in self._keys

    def heartbeat(self, now_s: float, rules: str = "") -> bytes:
        """Return the signed heartbeat: what is in force now, in a digest; `rules` is the digest of the limits'."""
        active, digest = self._book.digest(now_s)
        beat = Heartbeat(
            v=VERSION,
            env=self.env,
            writer=self.writer,
            epoch=self.epoch,
            max_seq=max(self._dropped_seq, self._book.top_seq),
            active=active,
            digest=digest,
            issued_at=now_s,
            rules=rules,
        )
        key = self._keys.get(Role.COMMANDER)
        if key is None:
            raise RefusedError("no commander key here: run brakeline keys")
        return key.sign(beat)


def _expiry(decision: Decision, state: State, held: Command | None, now_s: float) -> float | UnsetType:
    """A detector that raises a command to a harder one never has it end earlier."""
    if state is State.RELEASED and decision.use:
        return now_s + LASTS_S[decision.use] if decision.expires_s is None else decision.expires_s
    if state is State.RELEASED or decision.expires_s is None:
        return UNSET
    ends_s = decision.expires_s
    if decision.actor == DETECTOR and held is not None and held.in_force(now_s):
        ends_s = max(ends_s, held.ends_s)
    return UNSET if ends_s == float("inf") else ends_s


def _evidence(decision: Decision, held: Command | None) -> dict[str, Any]:
    """What is known of a request for approval stays with all that is said of it."""
    asked = {} if held is None or held.asked is UNSET or decision.asked is not None else held.evidence
    found: dict[str, Any] = {**asked, **to_builtins(decision.evidence)}
    more: dict[str, Any] = {"planned": True} if decision.planned else {}
    if decision.probation_s:
        more["probation_s"] = decision.probation_s
    return {**found, "detector": decision.detector, "score": decision.score, **more}
