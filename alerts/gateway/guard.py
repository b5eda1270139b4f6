"""The decision of a gateway: which records it believes, and which calls it refuses. Pure: it is told the time."""

from enum import StrEnum

from msgspec import UNSET, Struct

from .accounts import Caller
from .approvals import Approvals, Held
from .book import Book, Verdict
from .budget import USUAL, Budget, Load
from .events import are_plain, is_plain, name
from .health import Health, Policy, Watch
from .identity import ALLOWED, DENIALS, Answer, Denial, Identity, cheaper
from .keys import Signed, Trust
from .lineage import Lineage
from .recent import Recent
from .snapshot import Records, encode_snapshot, unseal
from .throttle import Throttles
from .wire import GLOBAL, Command, Heartbeat, State, WireError


class Kind(StrEnum):
    """What became of a record."""

    COMMAND = "command"
    HEARTBEAT = "heartbeat"
    OLD = "old"
    TOMBSTONE = "tombstone"
    REFUSED = "refused"
    RULES = "rules"
    """A record of the limits topic."""


class Outcome(Struct, frozen=True):
    """The answer to one record; `why` says what was wrong with it."""

    kind: Kind
    why: str = ""
    command: Command | None = None


class Guard:
    """Everything that a gateway knows. Not for several threads at once."""

    def __init__(
        self, env: str, trust: Trust, now_s: float, *, policy: Policy | None = None, book: Book | None = None
    ) -> None:
        self.book = book or Book()
        self.watch = Watch(policy or Policy(), now_s)
        self._env = env
        self._trust = trust
        self._lineage = Lineage()
        # Of each agent its team; of each team its name, which is kept once.
        self._team_of = Recent(50_000)
        # Whether any agent or team was met that the service knows by another name: it takes none but plain ones.
        self._met_odd = False
        self._throttles = Throttles()
        self.budget = Budget(env, trust)
        self.approvals = Approvals(env, self.book, now_s)
        self._started_s = now_s

    def apply(self, key: str, value: bytes | None, now_s: float) -> Outcome:
        """Take in one record of the kill topic; what can't be believed changes nothing but the alarm."""
        self.watch.interrupt()
        if value is None:
            if self.book.drop_if_idle(key, now_s):
                return Outcome(Kind.TOMBSTONE)
            return self._refuse(f"a tombstone for {key!r}, which is in force", now_s)
        try:
            signed = self._trust.verify(value, key)
        except WireError as error:
            return self._refuse(str(error), now_s)
        if signed.payload.env != self._env:
            return self._refuse(f"meant for environment {signed.payload.env!r}", now_s)
        if isinstance(signed.payload, Heartbeat):
            wrong = self.watch.hear(signed.payload, self.book, now_s, self.budget.digest)
            return Outcome(Kind.OLD) if wrong is None else Outcome(Kind.HEARTBEAT, wrong)
        return self._file(signed, signed.payload, value, now_s)

    def apply_rules(self, key: str, value: bytes | None, now_s: float) -> Outcome:
        """Take in one record of the limits topic; what can't be believed changes nothing but the alarm."""
        try:
            if not self.budget.apply(key, value):
                return Outcome(Kind.OLD)
        except WireError as error:
            return self._refuse(str(error), now_s)
        self.watch.learn_rules(self.budget.digest)
        return Outcome(Kind.RULES)

    def begin_sync(self) -> None:
        """Say that Kafka is reachable and being read."""
        self.watch.reading = True

    def reach_end(self) -> None:
        """Say that the topic has been read to the end captured at the start."""
        self.watch.reach_end()

    def health(self, now_s: float) -> Health:
        """Return the state of the kill protocol's table."""
        return self.watch.health(now_s)

    def ready(self, now_s: float) -> bool:
        """Whether it may be sent calls: once synced, or on its snapshot when Kafka doesn't answer."""
        if self.health(now_s) in (Health.BOOT, Health.SYNCING):
            return False
        # The service gives a new gateway its share of the limits within moments; without it that is not to be had.
        return self.budget.is_shared or now_s - self._started_s > self.watch.policy.boot_wait_s

    def check(self, who: Identity, now_s: float, load: Load | None = None) -> Answer:
        """Say whether a call may go out. Takes from the bucket of a throttle, and reserves from the limits.

        `load` is what it is thought to take; a usual call's if its adapter can't tell.
        """
        agent, team = self._owners(who)
        runs = self._lineage.line(who.run, who.parents) if who.run else ()
        found, budget = self._commands(who, agent, team, runs, now_s), self.budget
        answer = ALLOWED if not found and self.watch.is_sure else self._judge(found, who, now_s)
        if not answer.allowed or not (budget.ceilings.active or budget.gates):
            return answer
        is_claimed = not agent and not team
        if is_claimed:
            agent, team = _claimed_owners(who)
        caller = Caller(agent, team, runs, is_claimed)
        if budget.gates and (load is None or load.takes):
            return self._pass_gates(answer, who, caller, load or USUAL, now_s)
        return budget.admit(answer, who.model, caller, load, now_s)

    def _pass_gates(self, answer: Answer, who: Identity, caller: Caller, load: Load, now_s: float) -> Answer:
        model, budget = answer.model or who.model, self.budget
        price = budget.prices.of(model)
        call = Held(who, caller, model, load.tools, price.micro_usd(load), price.output)
        once = self.approvals.look(budget.gates, call, now_s)
        if isinstance(once, Answer):
            return once
        answer = budget.admit(answer, who.model, caller, load, now_s)
        if once and answer.allowed:
            self.approvals.spend(once)
        return answer

    def _judge(self, found: list[Command], who: Identity, now_s: float) -> Answer:
        answer = self._obey(found, who, now_s) if found else None
        if answer is None:
            answer = ALLOWED if self.watch.is_sure else self._unsure(who, now_s)
        return answer

    def _commands(self, who: Identity, agent: str, team: str, runs: tuple[str, ...], now_s: float) -> list[Command]:
        """Return all that is in force for a call. Most of the time its agent and team are all there is to look up."""
        book = self.book
        more = (runs and book.runs_active) or who.claimed_agent or who.claimed_team or who.workflow
        if more or (self._met_odd and not are_plain((agent, team))):
            return self._in_force(self._scopes(who, agent, team, runs), now_s)
        active = book.active
        if agent in active or team in active or GLOBAL in active:
            return self._in_force([GLOBAL, agent, team], now_s)
        return []

    def cut(self, who: Identity, now_s: float) -> Answer | None:
        """Say whether a call that is under way must end: the refusal, or None. Takes from no bucket."""
        runs = self._lineage.line(who.run, who.parents) if who.run else ()
        for command in self._commands(who, *self._owners(who), runs, now_s):
            if command.state in (State.KILLED, State.HELD):
                return Answer(False, DENIALS[command.state], command, command.reason)
        return None

    def scopes_of(self, who: Identity) -> list[str]:
        """List every scope whose command the call must obey."""
        return self._scopes(who, *self._owners(who), self._lineage.line(who.run, who.parents) if who.run else ())

    def _scopes(self, who: Identity, agent: str, team: str, runs: tuple[str, ...]) -> list[str]:
        scopes = [GLOBAL]
        if agent:
            scopes.append(agent)
        if team:
            scopes.append(team)
        if who.claimed_agent or who.claimed_team:
            known = self._team_of.get("agent:" + who.claimed_agent)
            claims = ("agent:" + who.claimed_agent, known or "team:", "team:" + who.claimed_team)
            # Each once: a throttle counts one call.
            scopes += [each for each in dict.fromkeys(claims) if each not in scopes]
        if who.workflow:
            scopes.append("workflow:" + who.workflow)
        scopes += runs
        if not are_plain(scopes):
            # A call is reported under plain names, and stopped under those.
            scopes += [each for each in dict.fromkeys(map(plain, scopes)) if each not in scopes]
        return scopes

    @property
    def can_vouch(self) -> bool:
        """Whether it knows all that was in force once; else its snapshot must not replace a better one."""
        return self.watch.synced or self.watch.restored

    def snapshot(self) -> bytes:
        """Return what `restore` needs to go on enforcing, checksummed."""
        kills = ((scope, entry.value) for scope, entry in self.book.entries.items())
        return encode_snapshot(kills, self.budget.records())

    def restore(self, content: bytes, now_s: float) -> int:
        """Load a snapshot before anything else; raise WireError if it is damaged. Return the entries believed."""
        records = unseal(content, Records)
        believed = sum(self.apply(key, value, now_s).kind is Kind.COMMAND for key, value in records.kills)
        ruled = sum(self.apply_rules(key, value, now_s).kind is Kind.RULES for key, value in records.limits)
        self.watch.restored = (believed, ruled) == (len(records.kills), len(records.limits))
        return believed

    def restore_used(self, content: bytes) -> None:
        """Take in what was used of the limits before a restart, after `restore`; raise WireError if it is damaged."""
        held = (entry.command for entry in self.book.entries.values())
        released = [each for each in held if each.state is State.RELEASED and each.asked is UNSET]
        for scope, above in self.budget.restore_used(content, released).items():
            self._lineage.recall(scope, above)

    def _in_force(self, scopes: list[str], now_s: float) -> list[Command]:
        active = self.book.active
        # Looked up once: another thread may be taking it out.
        found = [entry.command for scope in scopes if (entry := active.get(scope)) is not None]
        return [command for command in found if command.in_force(now_s)] if found else found

    def _file(self, signed: Signed, command: Command, value: bytes, now_s: float) -> Outcome:
        filed = self.book.file(signed, value, now_s)
        if filed.verdict is Verdict.ACCEPTED:
            self._throttles.forget(command.scope)
            self.approvals.learn(command)
            if command.state is State.RELEASED and command.asked is UNSET:
                self.budget.release(command.scope, command.order, command.issued_at)
            return Outcome(Kind.COMMAND, command=command)
        if filed.verdict is Verdict.OLD:
            return Outcome(Kind.OLD, command=command)
        return self._refuse(filed.why, now_s)

    def _refuse(self, why: str, now_s: float) -> Outcome:
        self.watch.alarm(now_s)
        return Outcome(Kind.REFUSED, why)

    def _obey(self, commands: list[Command], who: Identity, now_s: float) -> Answer | None:
        """Apply all, the hardest first; None if none is in force, or none can vouch for an unsure gateway."""
        models: dict[str, str] = {}
        for command in sorted(commands, key=lambda each: -each.state.severity):
            if command.state is State.DOWNGRADED:
                models = command.models
                continue
            wait_s = self._throttles.wait_s(command, now_s) if command.state is State.THROTTLED else 0.0
            if command.state is not State.THROTTLED or wait_s:
                return Answer(False, DENIALS[command.state], command, command.reason, retry_after_s=wait_s)
        if not commands or not self.can_vouch:
            return None
        return Answer(True, None, commands[-1], commands[-1].reason, cheaper(models, who.model), models)

    def _unsure(self, who: Identity, now_s: float) -> Answer:
        watch = self.watch
        if not self.can_vouch:
            if watch.policy.unsynced == "closed":
                what = "the limits" if watch.rules_missing else "what is"
                return Answer(False, Denial.NOT_READY, reason=f"this gateway has not yet read {what} in force")
            return ALLOWED
        if watch.unsure_s(now_s) < max(watch.policy.closed_after_s, 1e-9):
            return ALLOWED
        if watch.policy.stale == "closed" or not watch.policy.closed_scopes.isdisjoint(self.scopes_of(who)):
            return Answer(False, Denial.STALE, reason="this gateway no longer hears what is in force")
        return ALLOWED

    def _owners(self, who: Identity) -> tuple[str, str]:
        """Return the scopes of the agent and the team that are authenticated; "" for none."""
        agent, team = "agent:" + who.agent if who.agent else "", "team:" + who.team if who.team else ""
        known = self._team_of.young.get(agent or team)
        if known is None or (team and known != team):
            known = self._meet(agent, team)
        return agent, known

    def _meet(self, agent: str, team: str) -> str:
        """Take in whose agent it is, and return the team; who names none is of the one that is known."""
        if team:
            team = self._team_of.get(team) or self._note(team, team)
        elif agent:
            team = self._team_of.get(agent) or ""
        return self._note(agent, team) if agent else team

    def _note(self, owner: str, team: str) -> str:
        self._met_odd = self._met_odd or not is_plain(owner)
        self._team_of.put(owner, team)
        return team


def plain(scope: str) -> str:
    """Return a scope as the service knows it from events.

    >>> plain("agent:Alice's key")
    'agent:Alice-s-key'
    """
    kind, colon, known = scope.partition(":")
    return kind + colon + name(known)


def _claimed_owners(who: Identity) -> tuple[str, str]:
    """Whose limits a call counts against that nobody has authenticated: a claim can't spend what is another's."""
    agent, team = who.claimed_agent, who.claimed_team
    return "agent:" + agent if agent else "", "team:" + team if team else ""
