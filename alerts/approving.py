"""PURE: requests for approval: what is asked becomes a decision to hold, what was used up becomes one too."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import UNSET

from alerts.decision import Action, Decision, Evidence, incident_id
from alerts.gateway.asking import APPROVAL, Request, Spent, Use
from alerts.gateway.limits import Gate
from alerts.gateway.wire import Command, State

ONCE_S, RUN_S, SPAN_S = 900.0, 86_400.0, 3_600.0
"""How long an approval of one call may wait for it, of a run holds, and of a span if none is named."""
LASTS_S: dict[Use, float] = {"once": ONCE_S, "run": RUN_S, "span": SPAN_S}


def asks(request: Request, gate: Gate, held: Command | None, now_s: float) -> Decision | None:
    """Return the decision to hold what a gateway asks about; None if it doesn't know what was decided since."""
    asked = request.asked
    if held is not None and request.seen < held.order and _answers(held, now_s):
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


def _answers(held: Command, now_s: float) -> bool:
    """Tell whether a command is an answer, or the wait for one, that still holds."""
    return held.in_force(now_s) or (held.use is not UNSET and now_s < held.ends_s)


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


def may_approve(actor: str, approvers: Sequence[str]) -> bool:
    """Tell whether a gate lets somebody decide.

    >>> may_approve("slack:U1", ["slack:U2", "page:*@example.com"]), may_approve("user:ann", [])
    (False, True)
    """
    return not approvers or any(fnmatchcase(actor, glob) for glob in approvers)


def may_not(decision: Decision, held: Command | None, now_s: float) -> str:
    """Say why a person may not decide so about a request; empty if they may, and for all other decisions."""
    is_request = decision.scope.startswith(f"{APPROVAL}:")
    if not is_request:
        return "can't be approved: only a request for approval can" if decision.use else ""
    if decision.asked is not None:
        return ""
    if held is None or held.asked is UNSET:
        return "is not known: no gateway has asked for that; `brakeline list` shows what waits"
    if not may_approve(decision.actor, held.evidence.get("approvers", ())):
        return f"may not be decided by {decision.actor}: its gate names {', '.join(held.evidence['approvers'])}"
    if decision.use and not held.in_force(now_s):
        return "is not open any more: it was decided, or its time was over; the next such call asks anew"
    if decision.use == "run" and not held.asked.run:
        return "was asked for without a run, so it can't be approved for one"
    return ""


def covers(use: Use) -> str:
    """Say what an approval lets through.

    >>> covers("once")
    'approved for one call'
    """
    return {"once": "approved for one call", "run": "approved for its run", "span": "approved for a time"}[use]
