"""What the scopes of incidents spent by the minute, for a day: longer than the table remembers its agents."""

from streams.web.board import Board
from streams.web.series import MINUTES
from streams.web.table import agents_of
from streams.windows import MINUTE_S

KEPT_MIN = 24 * 60
INCIDENTS_MAX = 500
LATE_MIN = 8
"""Minutes that may still grow."""


class Histories:
    """Dollars by minute (Unix minutes) and incident; of the 500 latest that anything happens to."""

    def __init__(self) -> None:
        self._spent: dict[str, dict[int, float]] = {}
        self._minute = 0

    def note(self, board: Board, now_s: float) -> None:
        """Take down the minutes that have passed; called often, it does something once a minute."""
        minute = int(now_s) // MINUTE_S
        if minute == self._minute:
            return
        self._minute = minute
        incidents = board.book.incidents
        open_now = [i for i in incidents.values() if i.kind == "single" and (i.active or i.in_force)]
        for incident in sorted(open_now, key=lambda incident: -incident.heard_s)[:INCIDENTS_MAX]:
            known = self._spent.setdefault(incident.id, {})
            back = LATE_MIN if known else MINUTES
            values = board.agents.minutes(agents_of(board, incident), now_s, back)[:-1]
            known.update(enumerate(values, minute - len(values)))
            for old in [each for each in known if each < minute - KEPT_MIN]:
                del known[old]
        for gone in self._spent.keys() - incidents.keys():
            del self._spent[gone]

    def of(self, incident: str) -> dict[int, float]:
        """Return what is known of an incident's minutes."""
        return self._spent.get(incident, {})
