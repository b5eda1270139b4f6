"""What the chart of an incident is drawn from: minutes, the usual band, and marks where something was done."""

from collections.abc import Iterator
from typing import Any

from alerts.incident import Incident
from streams.web.board import Board
from streams.web.series import MINUTES
from streams.web.table import agents_of
from streams.windows import MINUTE_S

MARKED = ("warn", "throttle", "downgrade", "hold", "kill", "release", "planned", "no longer", "reopened")


def chart(board: Board, incident: Incident, now_s: float) -> dict[str, Any]:
    """Return the columns: Unix seconds, dollars a minute seen, and the usual band, with the marks beside them.

    The current minute isn't over, so it has no value, and yet room for marks.
    """
    names = agents_of(board, incident)
    last = int(now_s) // MINUTE_S
    seen = board.agents.minutes(names, now_s, MINUTES - 1)[:-1]
    times = [MINUTE_S * (last - len(seen) + number) for number in range(len(seen))]
    known = [agent for name in names if (agent := board.agents.known.get(name))]
    usual = sum(agent.usual_usd_per_min for agent in known) or incident.evidence.usual_usd_per_min
    peak = max(usual, sum(agent.peak_usd_per_min for agent in known))
    first = next((number for number, value in enumerate(seen) if value), len(seen))
    first = max(0, min(first - 2, len(seen) - 20))
    return {
        "at_s": [*times[first:], MINUTE_S * (last + 1)],
        "seen": [*seen[first:], None],
        "usual": round(usual, 6),
        "peak": round(peak, 6),
        "marks": [{"at_s": at_s, "label": label} for at_s, label in _marks(incident)],
    }


def _marks(incident: Incident) -> Iterator[tuple[float, str]]:
    for moment in incident.timeline:
        word = next((word for word in MARKED if moment.what.startswith(word)), None)
        if word is not None:
            yield moment.at_s, word if word != "no longer" else "lapsed"
