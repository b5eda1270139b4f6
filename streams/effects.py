"""What a batch of events brings about: values for the shell to carry out, in this order."""

from collections import Counter
from dataclasses import dataclass

from alerts.decision import Decision
from alerts.obedience import Disobedience
from detectors.verdict import Verdict
from streams.usage import WindowUsage

__all__ = ["Counts", "Effects", "Quarantined", "WindowUsage"]


@dataclass(frozen=True)
class Quarantined:
    """A record (or one event of it) that couldn't be used."""

    offset: int
    reason: str
    detail: str
    value: bytes | None


class Counts:
    """The books: accepted + duplicate + late + quarantined = consumed."""

    def __init__(self) -> None:
        self.consumed = 0
        self.accepted = 0
        self.duplicate = 0
        self.late = 0
        self.quarantined: Counter[str] = Counter()

    def balance(self) -> bool:
        """Tell whether every event consumed is accounted for."""
        return self.consumed == self.accepted + self.duplicate + self.late + self.quarantined.total()

    def add(self, other: "Counts") -> None:
        """Add another batch's counts."""
        self.consumed += other.consumed
        self.accepted += other.accepted
        self.duplicate += other.duplicate
        self.late += other.late
        self.quarantined.update(other.quarantined)


class Spend:
    """A sum of money that is added to in place."""

    def __init__(self) -> None:
        self.micro_usd = 0


class Effects:
    """Everything that follows from one batch, in the order in which it has to be carried out.

    `verdicts` are what the judge said, at which time and of which agent, also where nothing followed from it.
    `overflows` are events of agents beyond the cap: counted, not judged. `forgotten_ids` found no room in the memory
    for duplicates. `spend` is by team, late calls included. `skew_s` says how far an agent's clock runs
    ahead of the broker's.
    """

    def __init__(self) -> None:
        self.quarantined: list[Quarantined] = []
        self.decisions: list[Decision] = []
        self.teams: dict[str, list[WindowUsage]] = {}
        self.rows: dict[bytes, bytes | None] = {}
        self.counts = Counts()
        self.verdicts: list[tuple[float, str, Verdict]] = []
        self.disobeyed: list[Disobedience] = []
        self.unknown_models: set[str] = set()
        self.overflows = 0
        self.forgotten_ids = 0
        self.spend: dict[str, Spend] = {}
        self.skew_s: dict[str, float] = {}
        self.watermark_s = 0.0
