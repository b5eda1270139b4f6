"""A gateway with limits and gates: whatever happens, a call passes exactly if a simple ledger says that it may."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from limiting import PLAIN
from msgspec.structs import replace
from signing import APPROVER, COMMANDER, DETECTOR, ENV, TRUST, command, live_guard
from spending import Call, Desk, Ledger

from alerts.gateway.accounts import Ticket, Use
from alerts.gateway.asking import Use as Span
from alerts.gateway.book import Book
from alerts.gateway.budget import Load
from alerts.gateway.guard import Guard, Kind
from alerts.gateway.identity import Answer, Denial, Identity
from alerts.gateway.limits import RULES_KEY, Gate, Limit, Rules, Shares, sign
from alerts.gateway.wire import Command, State

AGENTS = {"a": "t", "b": "t", "c": "u"}
PARENTS = {"root": (), "mid": ("root",), "leaf": ("mid", "root"), "alone": ()}
LIMITS = [
    Limit("agent:*", "tokens", "minute", 1_000),
    Limit("agent:*", "tokens", "minute", 2_000),
    Limit("agent:a", "micro_usd", "hour", 1_500),
    Limit("team:t", "micro_usd", "hour", 1_800),
    Limit("run:*", "tokens", "run", 1_200),
    Limit("run:*", "steps", "run", 6),
    Limit("run:*", "depth", "run", 1),
    Limit("agent:b", "tokens", "run", 900),
]
GATES = [
    Gate(name="dear", models=("opus*",)),
    Gate(name="shell", tools=("shell",)),
    Gate(name="costly", over_micro_usd=600),
]
SCOPES = ("agent:a", "agent:b", "team:t", "run:root", "run:mid", "run:leaf", "global:all")
agents = st.sampled_from(sorted(AGENTS))
runs = st.sampled_from(["", *PARENTS])
scopes = st.sampled_from(SCOPES)
sizes = st.sampled_from([0, 100, 400, 700])
some_limits = st.lists(st.sampled_from(LIMITS), min_size=1, max_size=4, unique=True)
some_gates = st.lists(st.sampled_from(GATES), max_size=2, unique=True)
pauses_s = st.sampled_from([0.0, 0.0, 31.0, 61.0])


class Spenders(RuleBasedStateMachine):
    """One gateway; what it may let through, and what it must, is told by the ledger and the desk."""

    @initialize(limits=some_limits, gates=some_gates)
    def begin(self, limits: list[Limit], gates: list[Gate]) -> None:
        self.now_s, self.seq = 1_000.0, 0
        self.book = Book()
        self.ledger, self.desk = Ledger(), Desk()
        self.stopped: dict[str, Command] = {}
        self.orders: dict[str, int] = {}
        self.open: list[tuple[Ticket, Call]] = []
        self.asked: list[tuple[Gate, Call]] = []
        self.guard = live_guard(self.now_s)
        self.guard.budget.gateway = "gw"
        self.desk.started_s = self.now_s
        self.written: list[tuple[str, bytes]] = []
        self._set(limits, gates)
        self.share(1.0, {})

    def _set(self, limits: list[Limit], gates: list[Gate]) -> None:
        self.seq += 1
        made = Rules(
            v=1, env=ENV, writer="w", epoch=1, seq=self.seq, issued_at=self.now_s, limits=tuple(limits),
            gates=tuple(gates), unknown=PLAIN,
        )  # fmt: skip
        self._write(RULES_KEY, sign(made, APPROVER))
        lowest = {each.name: each for each in sorted(limits, key=lambda each: -each.amount)}
        self.ledger.change(list(lowest.values()))
        self.desk.gates = gates

    def _write(self, key: str, value: bytes) -> None:
        self.written.append((key, value))
        assert self.guard.apply_rules(key, value, self.now_s).kind is Kind.RULES

    def _order(self, scope: str, state: State, **fields: object) -> Command:
        # As the commander counts: by one for each scope.
        self.orders[scope] = self.orders.get(scope, 0) + 1
        made = command(scope, state, self.orders[scope], issued_at=self.now_s, **fields)
        assert self.guard.apply(scope, APPROVER.sign(made), self.now_s).kind is Kind.COMMAND
        return made

    @rule(limits=some_limits, gates=some_gates)
    def change_the_rules(self, limits: list[Limit], gates: list[Gate]) -> None:
        self._set(limits, gates)

    @rule(
        usual=st.sampled_from([0.0, 0.5, 1.0]),
        named=st.dictionaries(
            st.sampled_from(["agent:a", "run:root", "team:t"]),
            st.dictionaries(st.sampled_from([each.name for each in LIMITS]), st.sampled_from([0.0, 0.7, 1.0])),
            max_size=2,
        ),
    )
    def share(self, usual: float, named: dict[str, dict[str, float]]) -> None:
        self.seq += 1
        made = Shares(v=1, env=ENV, gateway="gw", epoch=1, seq=self.seq, usual=usual, shares=named)
        self._write("shares:gw", sign(made, COMMANDER))
        self.ledger.shares = made

    @rule(data=st.data())
    def replay_and_forge(self, data: st.DataObject) -> None:
        key, value = data.draw(st.sampled_from(self.written))
        assert self.guard.apply_rules(key, value, self.now_s).kind is Kind.OLD
        none = Rules(v=1, env=ENV, writer="w", epoch=9, seq=9, issued_at=self.now_s)
        assert self.guard.apply_rules(RULES_KEY, sign(none, DETECTOR), self.now_s).kind is Kind.REFUSED
        assert self.guard.apply_rules(RULES_KEY, None, self.now_s).kind is Kind.OLD

    @rule(
        agent=agents, run=runs, tokens=sizes, model=st.sampled_from(["m", "m", "m", "opus-4"]),
        tools=st.sampled_from([(), (), (), ("shell", "read")]), times=st.integers(1, 4),
    )  # fmt: skip
    def call(self, agent: str, run: str, tokens: int, model: str, tools: tuple[str, ...], times: int) -> None:
        line = tuple(f"run:{each}" for each in (run, *PARENTS[run])) if run else ()
        for _ in range(times):
            self._call(Call(self.now_s, f"agent:{agent}", f"team:{AGENTS[agent]}", line, tokens, 0, model, tools))

    def _call(self, call: Call) -> None:
        made = replace(call, at_s=self.now_s)
        agent, line = call.agent.removeprefix("agent:"), [each.removeprefix("run:") for each in call.runs]
        who = Identity(
            agent=agent, team=AGENTS[agent], run=line[0] if line else "", parents=tuple(line[1:]), model=call.model
        )
        self._judge(made, self.guard.check(who, self.now_s, Load(call.tokens, 0, tools=call.tools)))

    def _judge(self, call: Call, answer: Answer) -> None:
        if any(each in self.stopped for each in (*call.scopes, "global:all")):
            assert answer.denial is Denial.KILLED
            return
        uses: list[Command] = []
        if call.tokens:
            gate, uses = self.desk.holds(call)
            if gate is not None:
                denied = self.desk.denies(gate, call)
                assert answer.denial is (Denial.DENIED if denied else Denial.APPROVAL), gate
                assert answer.scope == self.desk.asked(gate, call).scope
                self.asked.append((gate, call))
                return
        over = self.ledger.attempt(call) if self.ledger.limits else set()
        if over:
            assert answer.denial is Denial.CEILING, over
            return
        assert answer.allowed, (answer, call)
        self.desk.use(uses)
        if answer.ticket is not None:
            self.open.append((answer.ticket, call))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), took=st.sampled_from([0, 50, 400, 900]))
    def settle(self, data: st.DataObject, took: int) -> None:
        """An answer, or a call that failed or was cancelled, which took nothing."""
        ticket, call = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        for _ in range(2):
            self.guard.budget.settle(ticket, Use(took, took))
        call.tokens = took

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def time_out(self, data: st.DataObject) -> None:
        """Nobody knows what it took."""
        ticket, _ = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.guard.budget.settle(ticket, ticket.estimate)

    @rule(seconds=st.sampled_from([0.5, 20.0, 61.0, 1_800.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(scope=scopes)
    def kill(self, scope: str) -> None:
        if scope != "global:all":
            self.stopped[scope] = self._order(scope, State.KILLED)

    @rule(scope=scopes, again=st.booleans(), data=st.data())
    def release(self, scope: str, again: bool, data: st.DataObject) -> None:
        self._order(scope, State.RELEASED)
        self.stopped.pop(scope, None)
        self.ledger.release(scope)
        if again and self.ledger.calls:
            self._call(data.draw(st.sampled_from(self.ledger.calls[-4:])))

    @precondition(lambda self: self.asked)
    @rule(
        data=st.data(), use=st.sampled_from(["once", "run", "span"]), lasts_s=st.sampled_from([30.0, 3_600.0]),
        pause_s=pauses_s, restarts=st.booleans(),
    )  # fmt: skip
    def approve(self, data: st.DataObject, use: Span, lasts_s: float, pause_s: float, restarts: bool) -> None:
        gate, call = data.draw(st.sampled_from(self.asked[-3:]))
        asked, ends_s = self.desk.asked(gate, call), self.now_s + lasts_s
        self.desk.last[asked.scope] = self._order(asked.scope, State.RELEASED, asked=asked, use=use, expires_at=ends_s)
        self.now_s += pause_s
        if restarts:
            self.restart()
        others = [replace(call, agent=agent, team=f"team:{AGENTS[agent[6:]]}") for agent in ("agent:b", "agent:c")]
        for each in (call, call, *others):
            self._call(each)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), lasts_s=st.sampled_from([30.0, 3_600.0]), pause_s=pauses_s)
    def deny(self, data: st.DataObject, lasts_s: float, pause_s: float) -> None:
        gate, call = data.draw(st.sampled_from(self.asked[-3:]))
        asked, ends_s = self.desk.asked(gate, call), self.now_s + lasts_s
        self.desk.last[asked.scope] = self._order(asked.scope, State.KILLED, asked=asked, expires_at=ends_s)
        self.now_s += pause_s
        self._call(call)

    @rule()
    def restart(self) -> None:
        """What is under way then stays counted at its estimate, and what is approved once is void."""
        kills, used = self.guard.snapshot(), self.guard.budget.used(self.now_s)
        self.guard = Guard(ENV, TRUST, self.now_s)
        self.guard.budget.gateway = "gw"
        self.guard.restore(kills, self.now_s)
        self.guard.restore_used(used)
        self.open = []
        self.ledger.restart(self.now_s)
        self.desk.started_s = self.now_s
        self.desk.spent.clear()

    @invariant()
    def what_is_used_is_what_the_ledger_says(self) -> None:
        for limit in self.ledger.limits:
            for scope in ("agent:a", "agent:b", "team:t"):
                if limit.per != "run" and limit.measure != "depth" and scope.startswith(limit.scope.rstrip("*")):
                    said = self.guard.budget.ceilings.used(scope, limit.name, self.now_s)
                    assert said == self.ledger.used(limit, scope, self.now_s), (scope, limit)


Spenders.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestSpenders = Spenders.TestCase
