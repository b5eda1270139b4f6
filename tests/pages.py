"""A page in front of a board that was filled without a broker: a fleet of any size, incidents, gateways, spend."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web
from msgspec import json, msgpack
from msgspec.structs import replace
from signing import ENV, KEYS

from alerts.approving import asks
from alerts.commands import Orders
from alerts.decision import Action, Decision, Evidence
from alerts.desk import Audited, Desk, Office
from alerts.gateway.asking import Asked, Request
from alerts.gateway.limits import Gate
from alerts.gateway.wire import Ack, encode_ack
from alerts.incident import Act, Incident, Outcome, encode_row
from alerts.incidents import Book
from streams.attribution import Payer
from streams.pulse import AgentPulse, Calls, Pulse, Scored, SpendHour
from streams.reload import Reading
from streams.settings import Settings
from streams.web.access import Access
from streams.web.board import Board
from streams.web.histories import Histories
from streams.web.page import Page
from streams.web.screens import Facts, Screens
from streams.windows import Usage

NOW_S = 1_772_420_430.0
TEAMS = ("search", "support", "research", "growth", "platform", "billing", "ads", "trust")
PRODUCTS = ("assistant", "copilot", "", "insights")
MODELS = ("gpt-4o", "claude-sonnet-4", "gpt-4o-mini", "gemini-2.5-pro", "o3")
PAYING = (("assistant", "cc-410", "chat"), ("insights", "cc-220", "rank"), ("", "", ""))
KINDS = ("coder", "triage", "summariser", "crawler", "planner", "reviewer", "sql", "nightly")


class Filled:
    """A board and what happened to it; decisions are carried out as a commander would."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s
        self.orders = Orders(ENV, "w", KEYS)
        self.orders.take_over()
        self.board = Board(ENV, self.orders, 10_000)
        self.histories = Histories()
        self.board.read.complete = True
        self.board.read.beat_s = now_s
        self.decisions: list[Decision] = []
        self.acts: list[Act] = []
        self.audit: list[Audited] = []
        self._book = Book()
        self._offset = 0

    def pulse(self, agents: Sequence[AgentPulse], scores: Sequence[Scored] = (), calls: Calls | None = None) -> None:
        told = Pulse("events/0", self.now_s, list(agents), list(scores), calls or Calls())
        self.board.take("pulse", None, msgpack.encode(told), self.now_s)

    def spend(self, hour_s: int, usage: Sequence[tuple[Payer, Usage]], shard: str = "events/0") -> None:
        self.board.take("spend", None, msgpack.encode(SpendHour(shard, hour_s, list(usage))), self.now_s)

    def decide(self, decision: Decision) -> Incident:
        """Carry a decision out: its command, its incident."""
        ordered = self.orders.order(decision, self.now_s)
        outcome = Outcome()
        self._offset += 1
        if ordered is not None:
            self.orders.confirm(ordered, self.now_s)
            self.board.ordered(ordered.command, self._offset)
            self.board.obedience.end = self._offset
            ends_s = ordered.command.ends_s
            outcome = Outcome(ordered.command.epoch, ordered.command.seq, None if ends_s == float("inf") else ends_s)
        self.board.take("decisions", None, json.encode(decision), self.now_s)
        self.keep(self._book.decided(decision, self.now_s, outcome, offset=self._offset))
        return self._book.incidents[decision.incident_id]

    def keep(self, changed: set[str]) -> None:
        for name in changed:
            self.board.take("incidents", name.encode(), encode_row(self._book.incidents[name]), self.now_s)

    def cover(self, incident: Incident, text: str) -> None:
        self.keep(self._book.covered(incident.scope, (incident.epoch, incident.seq), text, self.now_s))

    def ack(self, gateway: str, at_s: float, offset: int, state: str = "live") -> None:
        ack = Ack(gateway=gateway, env=ENV, at=at_s, state=state, offset=offset, epoch=1, seq=1, adapter="sidecar")
        self.board.take("acks", None, encode_ack(ack), self.now_s)

    def desk(self) -> Desk:
        """Return a desk whose decisions and acts are only written down."""

        async def decide(decision: Decision) -> None:
            self.decisions.append(decision)

        async def act(what: Act) -> bool:
            self.acts.append(what)
            return True

        async def role_of(_user: str) -> None:
            return None

        return Desk(Office(self.board.lookup, decide, act, self.note, role_of), None, lambda: self.now_s)

    async def note(self, line: Audited) -> None:
        self.audit.append(line)
        self.board.take("audit", None, json.encode(line), self.now_s)

    def app(self, settings: Settings | None = None) -> web.Application:
        """Return the page as an application."""
        held = settings or Settings()
        facts = Facts(lambda: held, lambda: Reading(good_at_s=self.now_s), lambda: [])
        page = Page(
            self.board, Screens(self.board, facts), self.histories, Access(held.page), self.desk(), self.note,
            lambda: self.now_s,
        )  # fmt: skip
        app = web.Application()
        page.mount(app)
        return app


def agent(name: str, now_s: float, minutes: Sequence[float], **payer: str) -> AgentPulse:
    """Return an agent that spent these dollars in its last minutes, the last one being the current."""
    usual, peak = float(payer.pop("usual", 0.0)), float(payer.pop("peak", 0.0))
    last = int(now_s) // 60
    spent = {60 * (last - len(minutes) + 1 + n): round(1e6 * value) for n, value in enumerate(minutes)}
    return AgentPulse(name, Payer(**payer), usual, peak, spent)


def fleet(count: int, now_s: float, seed: int = 1) -> list[AgentPulse]:
    """Return honest agents of all sizes."""
    rng = Random(seed)
    made = []
    for number in range(count):
        usual = rng.lognormvariate(-4.2, 1.3)
        minutes = [usual * rng.lognormvariate(-0.2, 0.6) * (rng.random() > 0.2) for _ in range(30)]
        minutes[-1] *= 0.5
        payer = {
            "team": rng.choice(TEAMS), "product": rng.choice(PRODUCTS), "model": rng.choice(MODELS),
            "environment": rng.choice(("prod", "prod", "staging")),
        }  # fmt: skip
        name = f"{rng.choice(KINDS)}-{number}"
        made.append(agent(name, now_s, minutes, usual=str(usual), peak=str(4 * usual), **payer))
    return made


def runaway(filled: Filled, name: str = "coder-7", **fields: Any) -> Incident:
    """Kill an agent that has been looping for six minutes."""
    now_s = filled.now_s
    calm, rise = [0.021, 0.018, 0.024, 0.02, 0.0, 0.019] * 4, [0.12, 0.41, 0.78, 1.14, 1.32, 0.4]
    usual = {"usual": "0.02", "peak": "0.08", "team": "research", "product": "assistant", "environment": "prod"}
    filled.pulse([agent(name, now_s, calm + rise, model="claude-sonnet-4", **usual)])
    reason = "38 calls in a row of 41,200 tokens each in run 4f1c, a step every 2.1 s: a loop that makes no headway"
    says = {"loop": 1.31, "surge": 0.74, "tempo": 0.42}
    evidence = Evidence(
        team="research", agent=name, run="4f1c", model="claude-sonnet-4", seen_usd_per_min=1.32,
        usual_usd_per_min=0.02, spend_usd=4.17, calls=212, says=says,
    )  # fmt: skip
    scope = str(fields.pop("scope", f"agent:{name}"))
    filled.board.agents.scores[scope] = Scored(scope, name, now_s - 30.0, 1.31, "loop", reason)
    filled.pulse([], [Scored(scope, name, now_s - 30.0, 1.31, "loop", reason)])
    given = {
        "at_s": now_s - 40.0, "scope": scope, "action": Action.KILL, "reason": reason,
        "incident_id": f"incident-{name}", "detector": "loop", "score": 1.31, "window_start_s": now_s - 330.0,
        "expires_s": now_s + 3_560.0, "evidence": evidence,
    }  # fmt: skip
    return filled.decide(Decision(**(given | fields)))


def course(filled: Filled, run: str, name: str, usd_per_min: float, minutes: int = 6) -> None:
    """Have the judge look askance at a run that has spent evenly for some minutes."""
    began_s = filled.now_s - 60.0 * minutes
    for minute in range(1, minutes + 1):
        said = Scored(
            f"run:{run}", name, began_s + 60.0 * minute, 0.5 + 0.05 * minute, "snowball",
            "its context grows by 12 % a step", began_s, usd_per_min * minute,
        )  # fmt: skip
        filled.pulse([], [said])


def held_call(filled: Filled) -> Incident:
    """Hold a call at a gate."""
    asked = Asked(gate="dear", agent="agent:coder-7", team="team:research", run="4f1c")
    request = Request(env=ENV, gateway="gw-a", asked=asked, model="claude-opus-4", estimate_micro_usd=4_200_000)
    decision = asks(request, Gate(name="dear", approvers=("page:*",)), None, filled.now_s)
    assert decision is not None
    return filled.decide(replace(decision, incident_id="incident-dear"))


def gateways(filled: Filled, stale: int = 1) -> None:
    """Have four gateways report before and after the last command, the last `stale` of them only before."""
    end = filled.board.obedience.end
    for number in range(4):
        filled.ack(f"gw-{'abcd'[number]}", filled.now_s - (300.0 if number >= 4 - stale else 2.0), end - 1)
        if number < 4 - stale:
            filled.ack(f"gw-{'abcd'[number]}", filled.now_s + 0.06 + number / 17, end)


def spending(filled: Filled, seed: int = 3) -> None:
    """Fill the accounts of the last two days and a half, a part of it without a cost centre."""
    rng, hour_s = Random(seed), int(filled.now_s) // 3600 * 3600
    for hours_ago in range(60):
        usage = [
            (
                Payer(team, product, "prod", cost_center, use_case, rng.choice(MODELS)),
                Usage(rng.randint(10, 900), rng.randint(10**4, 10**6), int(rng.lognormvariate(14, 1))),
            )
            for team in TEAMS
            for product, cost_center, use_case in (
                ("assistant", "cc-410", "chat"),
                ("insights", "cc-220", "rank"),
                ("", "", ""),
            )
        ]
        filled.spend(hour_s - 3600 * hours_ago, usage)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free loopback port; yields its address."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
