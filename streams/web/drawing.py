"""What the chart of an incident is drawn from: minutes, the usual band, and marks where something was done."""

from collections.abc import Iterator, Mapping
from typing import Any

from alerts.incident import Incident
from streams.web.board import Board
from streams.web.series import MINUTES
from streams.web.table import agents_of
from streams.windows import MINUTE_S

MARKED = ("warn", "throttle", "downgrade", "hold", "kill", "release", "planned", "no longer", "reopened")
LEAST_MIN, BEFORE_MIN = 20, 30
"""What is shown at least, and of the time before it began."""


def chart(board: Board, incident: Incident, noted: Mapping[int, float], now_s: float) -> dict[str, Any]:
    """Return the columns: Unix seconds, dollars a minute seen, and the usual band, with the marks beside them.

    `noted` are minutes that the table may have forgotten. It ends in what was spent in the last sixty seconds, and
    leaves room for marks until the minute is over.
    """
    names = agents_of(board, incident)
    last = int(now_s) // MINUTE_S
    lately = board.agents.minutes(names, now_s, MINUTES - 1)[:-1]
    spent = {**noted, **{minute: value for minute, value in enumerate(lately, last - len(lately)) if value}}
    known = [agent for name in names if (agent := board.agents.known.get(name))]
    usual = sum(agent.usual_usd_per_min for agent in known) or incident.evidence.usual_usd_per_min
    began = int(incident.began_s) // MINUTE_S - BEFORE_MIN
    first = min(max(began, min(spent, default=last)), last - LEAST_MIN)
    minutes = range(first, last)
    return {
        "at_s": [*(MINUTE_S * minute for minute in minutes), int(now_s), MINUTE_S * (last + 1)],
        "seen": [*(spent.get(minute, 0.0) for minute in minutes), board.agents.usd_per_min_of(names, now_s), None],
        "usual": round(usual, 6),
        "peak": round(max(usual, sum(agent.peak_usd_per_min for agent in known)), 6),
        "marks": [{"at_s": at_s, "label": label} for at_s, label in _marks(incident)],
    }


def _marks(incident: Incident) -> Iterator[tuple[float, str]]:
    for moment in incident.timeline:
        word = next((word for word in MARKED if moment.what.startswith(word)), None)
        if word is not None:
            yield moment.at_s, word if word != "no longer" else "lapsed"
