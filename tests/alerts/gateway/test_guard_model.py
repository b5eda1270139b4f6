"""A gateway among thieves: whatever happens to the topic, a killed scope stays killed."""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from signing import APPROVER, COMMANDER, DETECTOR, ENV, STRANGER, TRUST, command, guard, heartbeat

from alerts.gateway.book import Book
from alerts.gateway.guard import Kind
from alerts.gateway.health import Health
from alerts.gateway.identity import Identity
from alerts.gateway.keys import SigningKey
from alerts.gateway.wire import HEARTBEAT_KEY, Command, State, WireError

AGENTS = ("a", "b", "c")
agents = st.sampled_from(AGENTS)
Record = tuple[str, bytes | None]


class Thieves(RuleBasedStateMachine):
    """The model knows what the true commander ordered; the topic is anybody's."""

    @initialize()
    def begin(self) -> None:
        self.now_s = 1_000.0
        self.epoch = 1
        self.truth: dict[str, Command] = {}
        self.book = Book()
        self.log: list[Record] = []
        self.genuine: list[Record] = []
        self.gate = guard(self.now_s)
        self.knew: dict[str, tuple[int, int]] = {}
        self.saved: bytes | None = None
        self.saved_knew: dict[str, tuple[int, int]] = {}
        self._sync()

    def _order(self, agent: str, state: State, key: SigningKey, **fields: float) -> None:
        scope = f"agent:{agent}"
        held = self.truth.get(scope)
        made = command(scope, state, held.seq + 1 if held else 1, epoch=self.epoch, issued_at=self.now_s, **fields)
        value = key.sign(made)
        self.truth[scope] = made
        self.book.file(TRUST.verify(value, scope), value, self.now_s)
        self.genuine.append((scope, value))
        self._write((scope, value))

    def _write(self, record: Record) -> None:
        self.log.append(record)
        self._feed([record])

    def _crash(self) -> bytes:
        if self.gate.can_vouch:
            self.saved, self.saved_knew = self.gate.snapshot(), dict(self.knew)
        assert self.saved is not None
        return self.saved

    def _feed(self, records: Iterable[Record]) -> None:
        for key, value in records:
            outcome = self.gate.apply(key, value, self.now_s)
            if outcome.kind is Kind.COMMAND and outcome.command is not None and (key, value) in self.genuine:
                self.knew[key] = max(self.knew.get(key, (0, 0)), outcome.command.order)

    def _beat(self) -> None:
        self.now_s += 2.0
        self._write((HEARTBEAT_KEY, heartbeat(self.book, self.now_s, self.epoch)))

    def _sync(self) -> None:
        self.gate.begin_sync()
        self._feed(self.log)
        self.gate.reach_end()
        self._beat()

    @rule(agent=agents)
    def kill(self, agent: str) -> None:
        self._order(agent, State.KILLED, DETECTOR if self.truth.get(f"agent:{agent}") is None else APPROVER)

    @rule(agent=agents, lasts_s=st.sampled_from([3.0, 60.0]))
    def kill_for_a_while(self, agent: str, lasts_s: float) -> None:
        self._order(agent, State.KILLED, APPROVER, expires_at=self.now_s + lasts_s)

    @rule(agent=agents)
    def release(self, agent: str) -> None:
        self._order(agent, State.RELEASED, APPROVER)

    @rule(seconds=st.sampled_from([1.0, 30.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def beat(self) -> None:
        self._beat()

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if self.genuine:
            self._write(data.draw(st.sampled_from(self.genuine)))

    @rule(data=st.data())
    def deliver_again_in_any_order(self, data: st.DataObject) -> None:
        self._feed(data.draw(st.permutations(self.log[-8:])))

    @rule(agent=agents, key=st.sampled_from([DETECTOR, STRANGER, COMMANDER]), ahead=st.integers(0, 50))
    def forge_a_release(self, agent: str, key: SigningKey, ahead: int) -> None:
        scope = f"agent:{agent}"
        forged = command(scope, State.RELEASED, 1 + ahead, epoch=1 + ahead, issued_at=self.now_s)
        self._write((scope, key.sign(forged)))

    @rule(agent=agents, state=st.sampled_from([State.THROTTLED, State.DOWNGRADED, State.KILLED]))
    def loosen_with_a_stolen_detector_key(self, agent: str, state: State) -> None:
        scope = f"agent:{agent}"
        held = self.truth.get(scope)
        if held is not None and held.in_force(self.now_s):
            ends = min(held.ends_s - 1, self.now_s)
            forged = command(
                scope, state, held.seq + 1, epoch=self.epoch + 6, issued_at=self.now_s + 1e6, expires_at=ends
            )
            self._write((scope, DETECTOR.sign(forged)))
            # A commander that sees a higher epoch takes the next.
            self.epoch += 7

    @rule(agent=agents)
    def release_in_another_environment(self, agent: str) -> None:
        scope = f"agent:{agent}"
        self._write((scope, APPROVER.sign(command(scope, State.RELEASED, 99, epoch=9, env=ENV + "2"))))

    @rule(agent=agents)
    def put_a_release_under_another_key(self, agent: str) -> None:
        for _, value in [record for record in self.genuine if b'"released"' in (record[1] or b"")][-1:]:
            self._write((f"agent:{agent}", value))

    @rule(agent=agents, garbage=st.sampled_from([b"", b"{}", b"\xff" * 9, b"[" * 5_000, b"x" * 70_000]))
    def write_garbage(self, agent: str, garbage: bytes) -> None:
        self._write((f"agent:{agent}", garbage))

    @rule(agent=agents)
    def tombstone(self, agent: str) -> None:
        self._write((f"agent:{agent}", None))

    @rule()
    def compact(self) -> None:
        self.log = list(dict(self.log).items())

    @rule()
    def restart_while_kafka_is_down(self) -> None:
        saved = self._crash()
        self.gate = guard(self.now_s)
        self.gate.restore(saved, self.now_s)
        self.knew = dict(self.saved_knew)

    @rule()
    def restart_and_sync(self) -> None:
        self.restart_while_kafka_is_down()
        self._sync()

    @rule(at=st.integers(0, 10_000))
    def restart_with_a_damaged_snapshot(self, at: int) -> None:
        damaged = bytearray(self._crash())
        damaged[at % len(damaged)] ^= 1
        self.gate, self.knew = guard(self.now_s), {}
        try:
            self.gate.restore(bytes(damaged), self.now_s)
        except WireError:
            return
        raise AssertionError("a damaged snapshot was believed")

    @rule()
    def start_from_nothing(self) -> None:
        self._crash()
        self.gate, self.knew = guard(self.now_s), {}
        self._sync()

    @invariant()
    def no_killed_scope_is_allowed(self) -> None:
        for scope, ordered in self.truth.items():
            allowed = self.gate.check(Identity(agent=scope.removeprefix("agent:")), self.now_s).allowed
            if not ordered.in_force(self.now_s):
                continue
            # One that starts on a robbed topic can't know of a kill, but it must not think that it is up to date.
            if self.knew.get(scope, (0, 0)) >= ordered.order or self.gate.health(self.now_s) is Health.LIVE:
                assert not allowed, scope


Thieves.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestThieves = Thieves.TestCase
