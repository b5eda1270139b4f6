"""What limits and gates promise, said as simply as that can be: every call is remembered, and all is counted anew."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from msgspec import Struct

from alerts.gateway.asking import Asked
from alerts.gateway.limits import Gate, Limit, Shares
from alerts.gateway.wire import Command, State

PERIOD_S = {"minute": 60.0, "hour": 3_600.0}


class Call(Struct):
    """A call at a number in the order of events; `runs` are its run and all above, as scopes."""

    at_s: float
    agent: str
    team: str
    runs: tuple[str, ...]
    tokens: int
    number: int = 0
    model: str = "m"
    tools: tuple[str, ...] = ()

    @property
    def scopes(self) -> tuple[str, ...]:
        return (self.agent, self.team, *self.runs)


class Ledger:
    """All calls that went out, and what has happened that bears on how they count. Tokens are micro-dollars."""

    def __init__(self) -> None:
        self.number = 0
        self.calls: list[Call] = []
        self.callers: dict[str, list[Call]] = {}
        """Calls in or below each run that were held against limits of runs, whether they went out or not."""
        self.limits: list[Limit] = []
        self.since: dict[str, int] = {}
        """Limits by name, with when they were set; one that is taken back and set again counts anew."""
        self.begun: dict[str, int] = {}
        """Scopes, with when a release last began them anew."""
        self.pardoned: set[str] = set()
        """Runs that may be as deep as they are."""
        self.shares: Shares | None = None

    def change(self, limits: list[Limit]) -> None:
        self.number += 1
        self.since = {each.name: self.since.get(each.name, self.number) for each in limits}
        self.limits = limits

    def release(self, scope: str) -> None:
        self.number += 1
        known = {each for call in self.calls for each in call.scopes} | self.callers.keys()
        self.begun |= {each: self.number for each in known if self._covers(scope, each)}
        if scope in self.callers:
            self.pardoned.add(scope)

    def restart(self, now_s: float) -> None:
        """Forget who called in runs of which nothing is counted."""
        self.callers = {
            run: callers
            for run, callers in self.callers.items()
            if run in self.pardoned
            or any(limit.measure != "depth" and self.used(limit, each, now_s) for limit, each in self._about_run(run))
        }

    def attempt(self, call: Call) -> set[str]:
        """Return the names of the limits that the call would pass; it goes out if there are none."""
        self.number += 1
        call.number = self.number
        if any(each.per == "run" for each in self.limits):
            for run in call.runs:
                self.callers.setdefault(run, []).append(call)
        over = {limit.name for limit, scope in self._about(call) if self._would_pass(limit, scope, call)}
        if not over:
            self.calls.append(call)
        return over

    def used(self, limit: Limit, scope: str, now_s: float) -> int:
        begun = max(self.since[limit.name], self._held_since(limit, scope), self.begun.get(scope, 0))
        counted = [call for call in self.calls if scope in call.scopes and call.number > begun]
        if limit.per != "run":
            period_s = PERIOD_S[limit.per]
            counted = [call for call in counted if call.at_s // period_s == now_s // period_s]
        return len(counted) if limit.measure == "steps" else sum(call.tokens for call in counted)

    def _about(self, call: Call) -> Iterator[tuple[Limit, str]]:
        for limit in self.limits:
            if limit.per != "run":
                yield from ((limit, each) for each in (call.agent, call.team) if fnmatchcase(each, limit.scope))
        for run in call.runs:
            for limit, scope in self._about_run(run):
                if limit.measure != "depth" or scope == call.runs[0]:
                    yield limit, scope

    def _about_run(self, run: str) -> Iterator[tuple[Limit, str]]:
        for limit in self.limits:
            if limit.per == "run" and (fnmatchcase(run, limit.scope) or self._owners(limit, run)):
                yield limit, run

    def _owners(self, limit: Limit, run: str) -> list[Call]:
        """Calls in or below a run by whom a limit holds for each of its runs."""
        seen = self.callers.get(run, [])
        return [call for call in seen if any(fnmatchcase(each, limit.scope) for each in (call.agent, call.team))]

    def _held_since(self, limit: Limit, scope: str) -> int:
        """A run counts for a limit of its owner from their first call in it on."""
        if limit.per != "run" or fnmatchcase(scope, limit.scope):
            return 0
        return min(call.number for call in self._owners(limit, scope)) - 1

    def _covers(self, released: str, scope: str) -> bool:
        """A run begins anew with any run above it and with whoever has called in it."""
        if released in (scope, "global:all"):
            return True
        if scope.startswith("agent:"):
            return any(call.agent == scope and call.team == released for call in self.calls)
        callers = self.callers.get(scope, [])
        return any(released in (each.agent, each.team, *each.runs[each.runs.index(scope) + 1 :]) for each in callers)

    def _would_pass(self, limit: Limit, scope: str, call: Call) -> bool:
        if limit.measure == "depth":
            return len(call.runs) - 1 > limit.amount and scope not in self.pardoned
        share = 0.0 if self.shares is None else self.shares.of(scope, limit.name)
        takes = 1 if limit.measure == "steps" else call.tokens
        return self.used(limit, scope, call.at_s) + takes > int(limit.amount * share)


class Desk:
    """What a person has said of the requests, and which approvals for one call are used up."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []
        self.last: dict[str, Command] = {}
        self.spent: set[tuple[str, tuple[int, int]]] = set()
        self.started_s = 0.0

    def asked(self, gate: Gate, call: Call) -> Asked:
        run = call.runs[0].removeprefix("run:") if call.runs else ""
        return Asked(gate=gate.name, agent=call.agent, team=call.team, run=run)

    def holds(self, call: Call) -> tuple[Gate | None, list[Command]]:
        """Return the first gate that holds a call, or none and the approvals that it uses up."""
        uses = []
        for gate in self.gates:
            if not self._is_about(gate, call) or self._is_covered(gate, call):
                continue
            said = self.last.get(self.asked(gate, call).scope)
            if said is None or not self._is_for_this_call(said, call.at_s):
                return gate, []
            uses.append(said)
        return None, uses

    def denies(self, gate: Gate, call: Call) -> bool:
        said = self.last.get(self.asked(gate, call).scope)
        return said is not None and said.state is State.KILLED and call.at_s < said.ends_s

    def use(self, approvals: list[Command]) -> None:
        self.spent |= {(each.scope, each.order) for each in approvals}

    def _is_about(self, gate: Gate, call: Call) -> bool:
        if gate.models and not any(fnmatchcase(call.model, glob) for glob in gate.models):
            return False
        if gate.tools and not set(gate.tools) & set(call.tools):
            return False
        return gate.over_micro_usd is None or call.tokens >= gate.over_micro_usd

    def _is_covered(self, gate: Gate, call: Call) -> bool:
        for said in self.last.values():
            asked = said.asked
            if not isinstance(asked, Asked) or asked.gate != gate.name or said.state is not State.RELEASED:
                continue
            if call.at_s >= said.ends_s:
                continue
            if said.use == "span" and asked.agent == call.agent:
                return True
            theirs = call.agent == asked.agent or call.team == asked.team
            if said.use == "run" and theirs and asked.run and f"run:{asked.run}" in call.runs:
                return True
        return False

    def _is_for_this_call(self, said: Command, now_s: float) -> bool:
        is_open = said.state is State.RELEASED and said.use == "once" and now_s < said.ends_s
        return is_open and said.issued_at >= self.started_s and (said.scope, said.order) not in self.spent
