"""What a press of a button on the page does: the same as one in Slack, by the same desk."""

from collections.abc import Callable, Mapping

from alerts.blocks import Target
from alerts.clicks import REASON_MAX, VERBS, Click, Role
from alerts.desk import Desk
from streams.office import office_of
from streams.outlet import Outlet
from streams.web.access import Person
from streams.web.board import Board


def page_desk(board: Board, outlet: Outlet, named: Mapping[str, str], clock: Callable[[], float]) -> Desk:
    """Return the page's desk, on whichever worker."""

    async def role_of(_user: str) -> Role | None:
        return None  # The role comes with each request.

    return Desk(office_of(board.lookup, outlet, named, role_of), None, clock)


def click_of(form: Mapping[str, str], incident: str, person: Person) -> Click | None:
    """Read a form; None for one that the page didn't make."""
    verb = next((verb for verb in VERBS if verb == form.get("verb")), None)
    epoch, seq = form.get("epoch", ""), form.get("seq", "")
    if verb is None or not all(number.isascii() and number.isdigit() and len(number) < 16 for number in (epoch, seq)):
        return None
    reason = " ".join(form.get("reason", "").split())[:REASON_MAX]
    return Click(verb=verb, target=Target(incident, int(epoch), int(seq)), user=person.name, reason=reason, via="page")
