"""From one call to a decision: judge it, look at where its scopes stand, apply the policy."""

from msgspec.structs import replace

from alerts.decision import Action, Evidence
from alerts.policy import Breach, RuleBook, Rules, decide, lapse, release, renew
from alerts.probation import Leash, on_probation, used
from detectors.contract import CALM, Call, Score
from detectors.judge import Judge, Verdict
from streams.effects import Effects
from streams.rows import AgentRow, Rows
from streams.spent import spent_of


class Sentence:
    """Holds the rules and the judge; all state is in the rows."""

    def __init__(self, rules: RuleBook, judge: Judge, rows: Rows) -> None:
        self.rules = rules
        self._judge = judge
        self._rows = rows

    def reconfigure(self, rules: RuleBook, judge: Judge) -> None:
        """Judge by these from now on; all that is known stays."""
        self.rules, self._judge = rules, judge
        self.arm()

    def arm(self) -> None:
        """Look anew at what was only said in shadow mode of scopes that are armed by now: it stopped nobody."""
        now_s = self._rows.shard.now_s
        for scope in [s for s, standing in self._rows.standings.items() if standing.shadow]:
            if not self._rules_of(scope).shadow:
                renew(self._rows.standing(scope))
                self._judge.released(self._rows.judge, scope, now_s, planned=False)

    def _rules_of(self, scope: str) -> Rules:
        """Return the rules in force for a scope, by the team and environment of the agent behind it."""
        kind, _, name = scope.partition(":")
        if kind == "team":
            return self.rules.of(scope, name)
        tree = self._rows.judge.trees.get(name) if kind == "run" else None
        row = self._rows.agents.get(name if tree is None else tree.agent)
        return self.rules.of(scope, "", "") if row is None else self.rules.of(scope, row.team, row.environment)

    def judge(self, call: Call, row: AgentRow, effects: Effects) -> None:
        """Judge one call; a decision that follows goes into the effects."""
        verdicts = self._judge.step(self._rows.judge, call, row.caller)
        if self._rows.watched:
            verdicts = [*self._on_probation(call, row), *verdicts]
        if not verdicts:
            return
        for verdict in verdicts:
            effects.verdicts.append((call.now_s, call.agent, verdict))
            self._decide(verdict, call, row, effects)

    def _on_probation(self, call: Call, row: AgentRow) -> list[Verdict]:
        """Count a call of a scope on probation against the part of its limits that it may use."""
        found: list[Verdict] = []
        for scope in (f"agent:{call.agent}", f"run:{self._rows.judge.root_of.get(call.run, call.run)}"):
            if scope not in self._rows.watched:
                continue
            standing = self._rows.standing(scope)
            rules = self.rules.of(scope, call.team, row.environment)
            lapse(rules, standing, call.now_s)
            if standing.in_force(call.now_s):
                continue
            if not on_probation(standing.trial, call.now_s):
                self._rows.watched.discard(scope)
                continue
            leash = standing.leash = standing.leash or Leash()
            ceiling, run = self._judge.limits_of(scope, call.agent, call.team)
            tokens = call.input_tokens + call.output_tokens
            score = used(leash, ceiling, run, rules.probation, call.now_s, tokens, call.spend_micro_usd)
            if score is not CALM:
                found.append(_limit_on_probation(scope, score, call))
        return found

    def _decide(self, verdict: Verdict, call: Call, row: AgentRow, effects: Effects) -> None:
        breach = _breach(verdict, call, row)
        standing = self._rows.standing(verdict.scope)
        blast = self._rows.shard.blast
        rules = self.rules.of(verdict.scope, call.team, row.environment)
        decision = decide(rules, standing, breach, call.now_s, blast=blast, agents=self._rows.active_agents())
        if decision is None:
            return
        spend_usd, since_s = spent_of(verdict, call, row, self._rows.judge)
        evidence = replace(decision.evidence, spend_usd=spend_usd, since_s=since_s)
        effects.decisions.append(replace(decision, evidence=evidence))
        if decision.action in (Action.KILL, Action.HOLD):
            self._rows.watched.add(decision.scope)
            self._judge.killed(self._rows.judge, decision.scope, call.now_s, standing.until_s)

    def control(
        self, scope: str, action: Action, now_s: float, until_s: float | None, *, planned: bool = False
    ) -> None:
        """Take note of what a person (or another writer) did to a scope."""
        standing = self._rows.standing(scope)
        self._rows.watched.add(scope)
        if action is Action.RELEASE:
            if standing.in_force(now_s) or planned:
                release(self._rules_of(scope), standing, now_s, planned=planned)
                self._judge.released(self._rows.judge, scope, now_s, planned=planned)
            return
        if standing.action is action and standing.until_s == until_s:
            return
        standing.action = action
        standing.shadow = False
        standing.since_s = standing.last_s = now_s
        standing.until_s = until_s
        if action in (Action.KILL, Action.HOLD):
            self._judge.killed(self._rows.judge, scope, now_s, until_s)


def _limit_on_probation(scope: str, score: Score, call: Call) -> Verdict:
    detector = "run_ceiling" if scope.startswith("run:") else "ceiling"
    says = {detector: score.value}
    return Verdict(scope, detector, score.value, False, score.reason, says, call.now_s, call.run, sure=True)


def _breach(verdict: Verdict, call: Call, row: AgentRow) -> Breach:
    minutes = [row.ledger.minutes[m] for m in sorted(row.ledger.minutes)[-2:]]
    tokens = max((m.tokens for m in minutes), default=0)
    usd = max((m.micro_usd for m in minutes), default=0) / 1e6
    calls = sum(m.calls for m in row.ledger.minutes.values())
    return Breach(
        scope=verdict.scope,
        value=verdict.value,
        detector=verdict.detector,
        reason=verdict.reason,
        window_start_s=verdict.window_start_s,
        alert_only=verdict.alert_only,
        sure=verdict.sure,
        tokens_per_min=float(tokens),
        evidence=Evidence(
            team=call.team,
            agent=call.agent,
            run=verdict.run,
            model=call.model,
            calls=calls,
            seen_usd_per_min=verdict.seen_usd_per_min or usd,
            usual_usd_per_min=verdict.usual_usd_per_min,
            says=dict(verdict.says),
        ),
    )
