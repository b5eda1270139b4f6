"""Approval gates: which calls wait for a person, and which a person has approved. Pure: it is told the time.

The bound. What is approved once lets one call through at each gateway at most: a gateway that has used it says so, and
the service takes it back from the others, so it is one call in all but for those that are made before they hear of it.
A gateway that has restarted since doesn't know whether it has used it, and asks again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import UNSET, Struct

from .accounts import Caller
from .asking import Asked, Request, Spent, Word
from .book import Book
from .identity import Answer, Denial, Identity
from .limits import Gate
from .pricing import names_of
from .wire import Command, State

ASK_AGAIN_S = 30.0
ASKED_PER_MIN = 60
ASKED_MAX = 10_000
GRANTS_MAX = 50_000
MATCHING_MAX, KEY_CHARS_MAX = 5_000, 1_000
TOOLS_TOLD, NAME_CHARS = 32, 128


class Held(Struct, frozen=True, gc=False):
    """A call that a gate may hold, by what is known of it."""

    who: Identity
    caller: Caller
    model: str
    tools: tuple[str, ...] | None
    micro_usd: int
    output_usd_per_mtok: float
    """The price of its model: that for the unknown where it isn't told."""


def matches(gate: Gate, call: Held) -> bool:
    """Tell whether a gate is about a call, prices apart: a caller's word adds to it, what isn't told may be any."""
    who = call.who
    return (
        _one(gate.agents, (who.agent, who.claimed_agent))
        and _one(gate.teams, (call.caller.team.removeprefix("team:"), who.claimed_team))
        and (not call.model or _one(gate.models, tuple(names_of(call.model))))
        and (call.tools is None or _one(gate.tools, call.tools))
    )


def _is_cheap(gate: Gate, call: Held) -> bool:
    """Tell whether a call costs too little, or its model does; prices may change, so that is looked up each time."""
    if gate.over_micro_usd is not None and call.micro_usd < gate.over_micro_usd:
        return True
    least = gate.output_usd_per_mtok
    return least is not None and bool(call.model) and call.output_usd_per_mtok < least


def _one(globs: Sequence[str], names: Sequence[str]) -> bool:
    return not globs or any(name and fnmatchcase(name, glob) for name in names for glob in globs)


class Approvals:
    """What is approved, and what this gateway has still to say of it in `words`; bounded."""

    def __init__(self, env: str, book: Book, started_s: float) -> None:
        self.words: list[Word] = []
        self.gateway = ""
        self._env = env
        self._book = book
        self._started_s = started_s
        self._runs: OrderedDict[tuple[str, str], dict[str, Command]] = OrderedDict()
        self._spans: OrderedDict[tuple[str, str], dict[str, Command]] = OrderedDict()
        self._spent: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._minute, self._asked_now = 0, 0
        self._gates: Sequence[Gate] = ()
        self._matching: dict[object, tuple[Gate, ...]] = {}

    def learn(self, command: Command) -> None:
        """Take in the latest accepted command about an approval."""
        if not isinstance(command.asked, Asked) or command.asked.scope != command.scope:
            return
        self._asked.pop(command.scope, None)
        asked = command.asked
        for grants, key in ((self._runs, (asked.gate, asked.run)), (self._spans, (asked.gate, _whose(asked)))):
            grants.get(key, {}).pop(command.scope, None)
        if command.state is State.RELEASED and command.use == "run" and asked.run:
            _keep(self._runs, (asked.gate, asked.run), command)
        elif command.state is State.RELEASED and command.use == "span":
            _keep(self._spans, (asked.gate, _whose(asked)), command)

    def look(self, gates: Sequence[Gate], call: Held, now_s: float) -> Answer | tuple[Command, ...]:
        """Return the refusal, or the approvals that are used up once the call goes out."""
        once = []
        for gate in self._matched(gates, call):
            if _is_cheap(gate, call) or self._is_covered(gate.name, call, now_s):
                continue
            asked = asked_by(gate.name, call)
            held = self._book.get(asked.scope)
            if held is None or not self._is_fresh(held, now_s):
                return self._refusal(gate, asked, held, call, now_s)
            once.append(held)
        return tuple(once)

    def spend(self, once: Sequence[Command]) -> None:
        """Take in that a call has gone out on these."""
        for command in once:
            self._spent[command.scope] = command.order
            if len(self._spent) > GRANTS_MAX:
                self._spent.popitem(last=False)
            self.words.append(
                Spent(env=self._env, gateway=self.gateway, scope=command.scope, order=command.order),
            )

    def drain(self) -> list[Word]:
        """Return what is to be said, once."""
        words, self.words = self.words, []
        return words

    def _matched(self, gates: Sequence[Gate], call: Held) -> tuple[Gate, ...]:
        """Return the gates about a call; callers are few, so that is looked up once for each."""
        if gates is not self._gates:
            self._gates, self._matching = gates, {}
        who = call.who
        key = (who.agent, who.claimed_agent, call.caller.team, who.claimed_team, call.model, call.tools)
        found = self._matching.get(key)
        if found is None:
            found = tuple(gate for gate in gates if matches(gate, call))
            if len(self._matching) >= MATCHING_MAX:
                self._matching.clear()
            # What a client writes is of any length.
            if len(call.model) + sum(map(len, call.tools or ())) <= KEY_CHARS_MAX:
                self._matching[key] = found
        return found

    def _is_covered(self, gate: str, call: Held, now_s: float) -> bool:
        agent, team = _owners(call.caller)
        spans = self._spans.get((gate, agent or team), {}).values()
        if any(now_s < command.ends_s for command in spans):
            return True
        for run in call.caller.runs:
            for command in self._runs.get((gate, run.removeprefix("run:")), {}).values():
                if now_s < command.ends_s and _is_theirs(command, agent, team):
                    return True
        return False

    def _is_fresh(self, command: Command, now_s: float) -> bool:
        """Tell whether a command approves one call that hasn't been made."""
        return (
            command.state is State.RELEASED
            and command.use == "once"
            and now_s < command.ends_s
            and command.issued_at >= self._started_s
            and self._spent.get(command.scope, (-1, -1)) < command.order
        )

    def _refusal(self, gate: Gate, asked: Asked, held: Command | None, call: Held, now_s: float) -> Answer:
        denial, reason, command = Denial.APPROVAL, _reason(gate, call), None
        if held is not None and held.in_force(now_s):
            command = held
            if held.state is State.KILLED:
                denial, reason = Denial.DENIED, f"gate {gate.name}: {held.reason}"
        else:
            self._ask(asked, held, call, now_s)
        approval = asked.scope.partition(":")[2]
        return Answer(False, denial, command, reason, scope=asked.scope, approval=approval)

    def _ask(self, asked: Asked, held: Command | None, call: Held, now_s: float) -> None:
        """Ask once, again when nothing is heard for a while, and for so many a minute in all."""
        if now_s - self._asked.get(asked.scope, float("-inf")) < ASK_AGAIN_S:
            return
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute, self._asked_now = minute, 0
        if self._asked_now >= ASKED_PER_MIN:
            return
        self._asked_now += 1
        self._asked[asked.scope] = now_s
        if len(self._asked) > ASKED_MAX:
            self._asked.popitem(last=False)
        tools = tuple(name[:NAME_CHARS] for name in (call.tools or ())[:TOOLS_TOLD])
        self.words.append(
            Request(
                env=self._env, gateway=self.gateway, asked=asked, model=call.model[:512], tools=tools,
                estimate_micro_usd=call.micro_usd, seen=(0, 0) if held is None else held.order,
            )
        )  # fmt: skip


def asked_by(gate: str, call: Held) -> Asked:
    """Return what a caller asks for."""
    agent, team = _owners(call.caller)
    return Asked(gate=gate, agent=agent, team=team, run=call.who.run[:512])


def _owners(caller: Caller) -> tuple[str, str]:
    """Return agent and team as they ask: whoever only claims to be one is asked about, and approved, as that."""
    head = "claimed " if caller.is_claimed else ""
    return (head + caller.agent)[:512] if caller.agent else "", (head + caller.team)[:512] if caller.team else ""


def _whose(asked: Asked) -> str:
    return asked.agent or asked.team


def _is_theirs(command: Command, agent: str, team: str) -> bool:
    """A run that is claimed as parent frees nobody of another agent and another team."""
    asked = command.asked
    if asked is UNSET:
        return False
    if (asked.agent, asked.team) == (agent, team):
        return True
    return bool(agent and asked.agent == agent) or bool(team and asked.team == team)


def _keep(grants: OrderedDict[tuple[str, str], dict[str, Command]], key: tuple[str, str], command: Command) -> None:
    grants.setdefault(key, {})[command.scope] = command
    grants.move_to_end(key)
    if len(grants) > GRANTS_MAX:
        grants.popitem(last=False)


def _reason(gate: Gate, call: Held) -> str:
    what = [call.model or "a call"]
    if gate.tools:
        offered = ", ".join(name for name in call.tools or () if _one(gate.tools, (name,)))
        what.append(f"with {offered or 'tools that are not told'}"[:200])
    if gate.output_usd_per_mtok is not None:
        what.append(f"at ${call.output_usd_per_mtok:,.4g} a million output tokens")
    if gate.over_micro_usd is not None:
        what.append(f"for about ${call.micro_usd / 1e6:,.2f}")
    return f"gate {gate.name}: {' '.join(what)} needs a person's approval"
