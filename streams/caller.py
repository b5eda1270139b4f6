"""Whose an agent's latest call was: nearly every call is like the one before, and needs neither checks nor look-ups."""

from mypy_extensions import i64

from detectors.state import Home, family
from streams.event import Event
from streams.payer import PayerKey
from streams.prices import UnitPrice
from streams.windows import Count


class Caller(Home):
    """The names that an agent's latest valid call carried, and where what belongs to them was found.

    Derived, and never part of a row: after a restart the first call is looked up as any other.
    """

    def __init__(self) -> None:
        super().__init__("")
        self.team = ""
        self.product: str | None = None
        self.environment: str | None = None
        self.cost_center: str | None = None
        self.use_case: str | None = None
        self.model = ""
        self.run = ""
        self.names_hash: i64 = 0
        self.run_hash: i64 = 0
        self.price: UnitPrice | None = None
        self.price_until_s = 0.0
        self.input_price = 0
        self.price_turn = 0
        self.payer: PayerKey = ()
        self.account: PayerKey = ()
        self.hour_s = 0.0
        self.turn = 0
        self.count: Count | None = None
        self.pulse = 0
        self.payer_number = 0

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
        if not self.agent:
            self.agent = family(event.agent)
        self.team, self.model = event.team, event.model
        self.product, self.environment = event.product, event.environment
        self.cost_center, self.use_case = event.cost_center, event.use_case
        self.payer = (event.team, event.product, event.environment, event.cost_center, event.use_case, event.model)
        self.names_hash = hash_of_names(event)
        self.count = None
        self.price = None
        self.pulse = 0

    def follow(self, run: str) -> None:
        """Take over which run a valid event is of."""
        if run is not self.run:
            self.run, self.run_hash = run, hash_of_run(run)


def hash_of_names(event: Event) -> i64:
    """Return a hash of an event's agent and model; the shift keeps equal names from cancelling one another."""
    agent: i64 = hash(event.agent)
    model: i64 = hash(event.model)
    return agent ^ model >> 1


def hash_of_run(run: str) -> i64:
    """Return a hash of a run, shifted likewise."""
    found: i64 = hash(run)
    return found >> 2


def _same(one: str | None, other: str | None) -> bool:
    return one is other or (one is not None and other is not None and one == other)
