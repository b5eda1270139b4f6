"""Approval gates in the service: what the settings say, and what becomes of gateways' requests."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from alerts.approving import asks, used_up
from alerts.gateway.asking import Request, Spent, Word
from alerts.gateway.limits import Gate
from alerts.incident import Act
from streams.commander import Commander
from streams.metrics import Metrics
from streams.notifier import Notifier
from streams.noting import note_decision
from streams.settings import Settings

OPEN_MAX = 200
"""Requests that may be open at once: a flood of them must not drown what else goes wrong."""

log = logging.getLogger(__name__)


def gates_of(settings: Settings) -> tuple[Gate, ...]:
    """Return the gates as gateways hold them; none in shadow mode, where gateways are told nothing."""
    if settings.mode == "shadow":
        return ()
    return tuple(
        Gate(
            name=each.name,
            agents=each.agents,
            teams=each.teams,
            models=each.models,
            tools=each.tools,
            output_usd_per_mtok=each.min_output_usd_per_mtok,
            over_micro_usd=None if each.min_estimated_usd is None else round(each.min_estimated_usd * 1e6),
            open_s=each.open_s,
            approvers=each.approvers,
        )
        for each in settings.gates
    )


class Gating:
    """Turns gateways' words about approvals into commands and incidents; owned by the worker that commands."""

    def __init__(
        self,
        commander: Commander,
        notifier: Notifier,
        metrics: Metrics,
        settings: Callable[[], Settings],
        clock: Callable[[], float],
    ) -> None:
        self._commander = commander
        self._notifier = notifier
        self._metrics = metrics
        self._settings = settings
        self._clock = clock
        self._beside: set[asyncio.Task[None]] = set()
        commander.on_word = self.hear

    def hear(self, word: Word) -> None:
        """Take in a gateway's word; what comes of it happens beside."""
        task = asyncio.create_task(self._asked(word) if isinstance(word, Request) else self._spent(word))
        self._beside.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The gateway asks again as long as it is called.
            log.error("A request for approval could not be taken: %r", task.exception())

    async def _asked(self, request: Request) -> None:
        gates: Mapping[str, Gate] = {gate.name: gate for gate in gates_of(self._settings())}
        gate = gates.get(request.asked.gate)
        if gate is None:
            return
        orders, now_s = self._commander.orders, self._clock()
        decision = asks(request, gate, orders.held(request.asked.scope), now_s)
        if decision is None:
            return
        if sum(one.asked is not None and one.active for one in self._notifier.book.incidents.values()) >= OPEN_MAX:
            log.error("%d requests for approval are open: %s is not taken", OPEN_MAX, decision.reason)
            return
        outcome = await self._commander.handle(decision)
        if outcome.seq or outcome.refused:
            note_decision(self._metrics, decision, outcome, now_s)
            await self._notifier.decided(decision, outcome)
            self._commander.say(decision.scope)

    async def _spent(self, spent: Spent) -> None:
        orders, now_s = self._commander.orders, self._clock()
        decision = used_up(spent, orders.held(spent.scope), now_s)
        if decision is not None:
            await self._commander.handle(decision)
            note = Act("note", decision.incident_id, f"gateway:{spent.gateway}", decision.reason)
            await self._notifier.acted(note)
