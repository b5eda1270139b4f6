"""A made-up fleet with runaways, the same for the same seed: events in the order in which a broker would get them.

    for labelled in simulate(Plan(seed=7, runaways=("loop",))):
        labelled.event     # a canonical event, ready for JSON
        labelled.episode   # "" or the id of the runaway that it belongs to

Nothing here knows a clock: time begins at `Plan.start_s`.
"""

from streams.simulate.lookalikes import LOOKALIKES
from streams.simulate.plan import MONDAY_MORNING_S, Plan, episodes, fleet_of, simulate
from streams.simulate.runaways import RUNAWAYS, Episode
from streams.simulate.wire import Labelled

__all__ = [
    "LOOKALIKES",
    "MONDAY_MORNING_S",
    "RUNAWAYS",
    "Episode",
    "Labelled",
    "Plan",
    "episodes",
    "fleet_of",
    "simulate",
]
