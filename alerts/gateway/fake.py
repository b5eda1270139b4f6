"""A gateway in memory for customers' tests: no Kafka, no keys to make, no clock unless one is given."""

from collections.abc import Callable
from itertools import count
from typing import Any

from .asking import APPROVAL, Asked, Use
from .guard import Guard, Kind
from .identity import Answer, Identity
from .keys import Role, SigningKey, Trust, TrustRecord
from .limits import Gate, Limit, Rules, Shares, key_of, sign
from .wire import HEARTBEAT_KEY, VERSION, Command, Heartbeat, State

ENV = "test"


class FakeGateway:
    """Say what is in force, then see what your code does about it.

    >>> gateway = FakeGateway()
    >>> gateway.kill("agent:a")
    >>> gateway.check(Identity(agent="a")).allowed
    False
    >>> gateway.release("agent:a")
    >>> gateway.check(Identity(agent="a")).allowed
    True
    """

    def __init__(self, clock: Callable[[], float] = lambda: 1_000.0) -> None:
        self.clock = clock
        self._approver = SigningKey.make(Role.APPROVER)
        self._commander = SigningKey.make(Role.COMMANDER)
        self.trust = TrustRecord([self._approver.public(), self._commander.public()])
        """What a gateway of its own would have to trust."""
        self._rule_seq = count(1)
        self._gates: tuple[Gate, ...] = ()
        self._limits: tuple[Limit, ...] = ()
        self.guard = Guard(ENV, Trust(self.trust.keys), clock())
        self._beat()

    def kill(self, scope: str, reason: str = "a test", expires_at: float | None = None) -> None:
        """Stop a scope, such as "agent:a", until `expires_at` (Unix seconds) if given."""
        self.order(scope, State.KILLED, reason, expires_at=expires_at)

    def hold(self, scope: str, reason: str = "a test") -> None:
        """Hold a scope until it is released."""
        self.order(scope, State.HELD, reason)

    def throttle(self, scope: str, rate_per_min: float, reason: str = "a test") -> None:
        """Let `rate_per_min` calls through."""
        self.order(scope, State.THROTTLED, reason, rate_per_min=rate_per_min)

    def downgrade(self, scope: str, models: dict[str, str], reason: str = "a test") -> None:
        """Map models to cheaper ones; "*" stands for any other."""
        self.order(scope, State.DOWNGRADED, reason, models=models)

    def release(self, scope: str, reason: str = "a test") -> None:
        """Let a scope work again."""
        self.order(scope, State.RELEASED, reason)

    def gate(self, *gates: Gate) -> None:
        """Have calls that a gate matches wait for approval."""
        self._gates = gates
        self._rule()

    def limit(self, *limits: Limit) -> None:
        """Set what may be used; all of it may be used here."""
        self._limits = limits
        self._rule()

    def approve(self, approval: str, use: Use, asked: Asked, until: float = 1e12) -> None:
        """Approve a request by the id in its refusal."""
        self.order(f"{APPROVAL}:{approval}", State.RELEASED, "a test", expires_at=until, asked=asked, use=use)

    def deny(self, approval: str, asked: Asked) -> None:
        """Refuse a request by the id in its refusal."""
        self.order(f"{APPROVAL}:{approval}", State.KILLED, "a test", asked=asked)

    def check(self, who: Identity) -> Answer:
        """Ask as an adapter does."""
        return self.guard.check(who, self.clock())

    def order(
        self,
        scope: str,
        state: State,
        reason: str,
        *,
        expires_at: float | None = None,
        rate_per_min: float | None = None,
        models: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Put any command in force."""
        held = self.guard.book.get(scope)
        optional: dict[str, Any] = {"expires_at": expires_at, "rate_per_min": rate_per_min}
        command = Command(
            v=VERSION,
            env=ENV,
            scope=scope,
            state=state,
            epoch=1,
            seq=held.seq + 1 if held else 1,
            writer="fake",
            issued_at=self.clock(),
            reason=reason,
            incident_id="fake",
            actor="user:test",
            models=models or {},
            **more,
            **{name: value for name, value in optional.items() if value is not None},
        )
        outcome = self.guard.apply(scope, self._approver.sign(command), self.clock())
        assert outcome.kind is Kind.COMMAND, outcome.why
        self._beat()

    def _rule(self) -> None:
        common: dict[str, Any] = {"v": VERSION, "env": ENV, "epoch": 1, "seq": next(self._rule_seq)}
        rules = Rules(**common, writer="fake", issued_at=self.clock(), gates=self._gates, limits=self._limits)
        whole = Shares(**common, gateway=self.guard.budget.gateway, usual=1.0)
        for payload, key in ((rules, self._approver), (whole, self._commander)):
            outcome = self.guard.apply_rules(key_of(payload), sign(payload, key), self.clock())
            assert outcome.kind is Kind.RULES, outcome.why

    def _beat(self) -> None:
        active, digest = self.guard.book.digest(self.clock())
        self.guard.begin_sync()
        self.guard.reach_end()
        beat = Heartbeat(
            v=VERSION, env=ENV, writer="fake", epoch=1, max_seq=self.guard.book.top_seq, active=active,
            digest=digest, issued_at=self.clock(),
        )  # fmt: skip
        self.guard.apply(HEARTBEAT_KEY, self._commander.sign(beat), self.clock())
