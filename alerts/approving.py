"""PURE: requests for approval: what is asked becomes a decision to hold, what was used up becomes one too."""

from msgspec import UNSET

from alerts.decision import Action, Decision, Evidence, incident_id
from alerts.gateway.asking import APPROVAL, Asked, Request, Spent, Use
from alerts.gateway.limits import Gate
from alerts.gateway.wire import Command, State

ONCE_S, RUN_S, SPAN_S = 900.0, 86_400.0, 3_600.0
"""How long an approval of one call may wait for it, of a run holds, and of a span if none is named."""
LASTS_S: dict[Use, float] = {"once": ONCE_S, "run": RUN_S, "span": SPAN_S}


def asks(request: Request, gate: Gate, held: Command | None, now_s: float) -> Decision | None:
    """Return the decision to hold what a gateway asks about; None if it doesn't know what was decided since."""
    asked = request.asked
    if held is not None and request.seen < held.order:
        return None
    kind, _, name = (asked.agent or asked.team or "agent:unknown").partition(":")
    cost_usd = request.estimate_micro_usd / 1e6
    offers = f", which offers {', '.join(request.tools[:8])}" if gate.tools and request.tools else ""
    return Decision(
        at_s=now_s,
        scope=asked.scope,
        action=Action.HOLD,
        reason=f"gate {asked.gate}: {kind} {name} asks for a call of {request.model or 'an unnamed model'}{offers}, "
        f"about ${cost_usd:,.2f} at most",
        incident_id=incident_id(asked.scope, APPROVAL, now_s),
        detector=APPROVAL,
        window_start_s=now_s,
        expires_s=now_s + gate.open_s,
        asked=asked,
        evidence=Evidence(
            team=asked.team.partition(":")[2],
            agent=asked.agent.partition(":")[2],
            run=asked.run,
            model=request.model,
            estimate_usd=cost_usd,
            tools=request.tools,
            approvers=gate.approvers,
        ),
    )


def used_up(spent: Spent, held: Command | None, now_s: float) -> Decision | None:
    """Return the decision that takes an approval of one call back from every other gateway; None if it is old."""
    if held is None or held.order != spent.order or held.state is not State.RELEASED or held.use != "once":
        return None
    return Decision(
        at_s=now_s,
        scope=spent.scope,
        action=Action.HOLD,
        reason=f"the one call went out at {spent.gateway[:100]}",
        incident_id=held.incident_id,
        detector=APPROVAL,
        # Over as soon as it is in force: the next such call asks anew.
        expires_s=now_s,
        asked=None if held.asked is UNSET else held.asked,
    )


def approves(asked: Asked | None, use: Use) -> str:
    """Say why a request can't be approved so; empty if it can."""
    if asked is None:
        return "only a request for approval can be approved"
    return "it was asked for without a run, so it can't be approved for one" if use == "run" and not asked.run else ""


def covers(use: Use) -> str:
    """Say what an approval lets through.

    >>> covers("once")
    'approved for one call'
    """
    return {"once": "approved for one call", "run": "approved for its run", "span": "approved for a time"}[use]
