"""Whose an agent's latest call was: nearly every call is like the one before, and needs neither checks nor look-ups."""

from streams.event import Event
from streams.payer import PayerKey
from streams.windows import Count


class Caller:
    """The names that an agent's latest valid call carried, and the account that it was booked in.

    Derived, and never part of a row: after a restart the first call is looked up as any other.
    """

    def __init__(self) -> None:
        self.team = ""
        self.product: str | None = None
        self.environment: str | None = None
        self.cost_center: str | None = None
        self.use_case: str | None = None
        self.model = ""
        self.run: str | None = None
        self.payer: PayerKey = ()
        self.account: PayerKey = ()
        self.hour_s = 0
        self.turn = 0
        self.count: Count | None = None

    def is_of(self, event: Event) -> bool:
        """Tell whether the payer of an event is the one known; never before the first call, as a model has a name."""
        return (
            self.model == event.model
            and self.team == event.team
            and _same(self.product, event.product)
            and _same(self.environment, event.environment)
            and _same(self.cost_center, event.cost_center)
            and _same(self.use_case, event.use_case)
        )

    def learn(self, event: Event) -> None:
        """Take over whose a valid event is."""
        self.team, self.model = event.team, event.model
        self.product, self.environment = event.product, event.environment
        self.cost_center, self.use_case = event.cost_center, event.use_case
        self.payer = (event.team, event.product, event.environment, event.cost_center, event.use_case, event.model)
        self.count = None


def _same(one: str | None, other: str | None) -> bool:
    return one is other or (one is not None and other is not None and one == other)
