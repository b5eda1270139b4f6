"""From a decision to a signed command: epochs, sequence numbers, and what is refused. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET, Struct, to_builtins

from alerts.decision import Action, Decision
from alerts.gateway.keys import Role, Signed, SigningKey, may_sign
from alerts.gateway.wire import VERSION, Command, Heartbeat, State, encode_payload, fingerprint, split_scope

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


class Orders:
    """What the kill topic says, and the next word on each scope. One writer owns it, named by its epoch.

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
        self._held: dict[str, Command] = {}

    def observe(self, signed: Signed) -> bool:
        """Take in a verified record of the kill topic; tell whether another writer has a higher epoch."""
        payload = signed.payload
        if payload.env != self.env:
            return False
        if isinstance(payload, Command):
            held = self._held.get(payload.scope)
            if held is None or payload.order > held.order:
                self._held[payload.scope] = payload
        if payload.epoch > self.epoch:
            self.epoch = payload.epoch
            return True
        return False

    def take_over(self) -> None:
        """Begin a new epoch above all that was observed: what an earlier writer still sends is older."""
        self.epoch += 1

    def held(self, scope: str) -> Command | None:
        """Return the last word on a scope."""
        return self._held.get(scope)

    def active(self, now_s: float) -> list[Command]:
        """Return what is in force, by scope."""
        return sorted((c for c in self._held.values() if c.in_force(now_s)), key=lambda c: c.scope)

    def order(self, decision: Decision, now_s: float) -> Ordered | None:
        """Return the command that a decision calls for; None if there is nothing (more) to order.

        Raises RefusedError for a release of what isn't in force (any more), and for want of a key.
        """
        state = STATES.get(decision.action)
        if state is None or decision.shadow:
            return None
        held = self._held.get(decision.scope)
        if state is State.RELEASED:
            self._check_release(decision, held, now_s)
        elif self._is_settled(decision, state, held, now_s):
            return None
        command = self._command(decision, state, held, now_s)
        value = self._key(command, decision.actor).sign(command)
        self._held[command.scope] = command
        return Ordered(command, value)

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
            # A decision that is read again after a person has released it must not come back.
            return held.incident_id == decision.incident_id and decision.at_s <= held.issued_at
        if not held.in_force(now_s):
            return False
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
            seq=(held.seq if held else 0) + 1,
            writer=self.writer,
            issued_at=now_s,
            reason=decision.reason[:2000],
            incident_id=held.incident_id if held and state is State.RELEASED else decision.incident_id,
            actor=decision.actor,
            expires_at=UNSET if decision.expires_s is None or state is State.RELEASED else decision.expires_s,
            evidence=_evidence(decision),
            rate_per_min=self._rate_per_min if state is State.THROTTLED else UNSET,
            models=self._models if state is State.DOWNGRADED else {},
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

    def heartbeat(self, now_s: float) -> bytes:
        """Return the signed heartbeat: what is in force now, in a digest."""
        active = self.active(now_s)
        beat = Heartbeat(
            v=VERSION,
            env=self.env,
            writer=self.writer,
            epoch=self.epoch,
            max_seq=max((c.seq for c in self._held.values()), default=0),
            active=len(active),
            digest=digest(active),
            issued_at=now_s,
        )
        key = self._keys.get(Role.COMMANDER)
        if key is None:
            raise RefusedError("no commander key here: run brakeline keys")
        return key.sign(beat)


def digest(commands: Iterable[Command]) -> str:
    """Return what a heartbeat says of the commands in force: the sum of their fingerprints, in hexadecimal."""
    return f"{sum(fingerprint(encode_payload(c)) for c in commands) % (1 << 128):032x}"


def _evidence(decision: Decision) -> dict[str, Any]:
    found: dict[str, Any] = to_builtins(decision.evidence)
    return {**found, "detector": decision.detector, "score": decision.score}
