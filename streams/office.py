"""What a desk of any worker asks and orders: whatever a click leads to goes to the one that commands, by its topic."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from msgspec import json

from alerts.clicks import Role
from alerts.decision import Decision
from alerts.desk import Office
from alerts.incident import Act, Incident
from streams import audit
from streams.outlet import Message, Outlet

Lookup = Callable[[str], tuple[Incident, Sequence[Incident]] | None]


def office_of(
    lookup: Lookup, outlet: Outlet, named: Mapping[str, str], role_of: Callable[[str], Awaitable[Role | None]]
) -> Office:
    """Return an office that works on every worker; `named` gives the topics' names."""

    async def send(key: str, what: Decision | Act) -> None:
        await outlet.send([Message(named["decisions"], key.encode(), json.encode(what), 0)])

    async def decide(decision: Decision) -> None:
        await send(decision.scope, decision)

    async def act(what: Act) -> bool:
        await send(what.incident_id, what)
        return True

    return Office(lookup, decide, act, partial(audit.note, outlet, named["audit"]), role_of)
