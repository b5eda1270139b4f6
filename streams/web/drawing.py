"""What the chart of an incident is drawn from: minutes, the usual band, and marks where something was done."""

from collections.abc import Iterator
from typing import Any

from alerts.incident import Incident
from streams.web.board import Board
from streams.web.histories import AFTER_S, History, goes_on
from streams.web.series import MINUTES
from streams.web.table import agents_of
from streams.windows import MINUTE_S

MARKED = ("warn", "throttle", "downgrade", "hold", "kill", "release", "planned", "no longer", "reopened")
LEAST_MIN, BEFORE_MIN = 20, 30
"""What is shown at least, and of the time before it began."""


def chart(board: Board, incident: Incident, noted: History, now_s: float) -> dict[str, Any]:
    """Return the columns: Unix seconds, dollars a minute seen, and the usual band, with the marks beside them.

    `noted` is what the table may have forgotten. It ends in what was spent in the last sixty seconds, and leaves room
    for marks until the minute is over; of an incident that is over, an hour later.
    """
    names = agents_of(board, incident)
    last = int(now_s) // MINUTE_S
    lately = board.agents.minutes(names, now_s, MINUTES - 1)[:-1]
    live = {minute: usd for minute, usd in enumerate(lately, last - len(lately)) if usd and minute >= noted.until}
    began = int(incident.began_s) // MINUTE_S - BEFORE_MIN
    past = [(minute, usd) for minute, usd in noted.points() if minute >= began - noted.step]
    last = last if goes_on(incident, now_s) else int(incident.status_s + AFTER_S) // MINUTE_S
    first = noted.until if past else min(max(began, min(live, default=last)), last - LEAST_MIN)
    seen = [*past, *((minute, live.get(minute, 0.0)) for minute in range(first, last))]
    known = [agent for name in names if (agent := board.agents.known.get(name))]
    usual = sum(agent.usual_usd_per_min for agent in known) or noted.usual_usd_per_min
    usual = usual or incident.evidence.usual_usd_per_min
    peak = sum(agent.peak_usd_per_min for agent in known) or noted.peak_usd_per_min
    now = [(int(now_s), board.agents.usd_per_min_of(names, now_s))] if goes_on(incident, now_s) else []
    return {
        "at_s": [*(MINUTE_S * minute for minute, _ in seen), *(at_s for at_s, _ in now), MINUTE_S * (last + 1)],
        "seen": [*(usd for _, usd in seen), *(usd for _, usd in now), None],
        "usual": round(usual, 6),
        "peak": round(max(usual, peak), 6),
        "marks": [{"at_s": at_s, "label": label} for at_s, label in _marks(incident)],
    }


def _marks(incident: Incident) -> Iterator[tuple[float, str]]:
    for moment in incident.timeline:
        word = next((word for word in MARKED if moment.what.startswith(word)), None)
        if word is not None:
            yield moment.at_s, word if word != "no longer" else "lapsed"
