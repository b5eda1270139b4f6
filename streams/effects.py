"""What a batch of events brings about: values for the shell to carry out, in this order."""

from collections import Counter

from msgspec import Struct, field

from alerts.decision import Decision
from alerts.obedience import Disobedience
from detectors.verdict import Verdict
from streams.windows import Usage


class Quarantined(Struct, frozen=True):
    """A record (or one event of it) that couldn't be used."""

    offset: int
    reason: str
    detail: str
    value: bytes | None


class WindowUsage(Struct, frozen=True, array_like=True):
    """Cumulative usage of one agent in one window; merging by maximum makes repeats harmless.

    `window_s` is 60 for a minute, 3600 for what came too late for its minute.
    """

    agent: str
    start_s: int
    window_s: int
    usage: Usage


class Counts(Struct):
    """The books: accepted + duplicate + late + quarantined = consumed."""

    consumed: int = 0
    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

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


class Effects(Struct):
    """Everything that follows from one batch, in the order in which it has to be carried out."""

    quarantined: list[Quarantined] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    teams: dict[str, list[WindowUsage]] = field(default_factory=dict)
    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    verdicts: list[tuple[float, str, Verdict]] = field(default_factory=list)
    """What the judge said, at which time and of which agent, also where nothing followed from it."""
    disobeyed: list[Disobedience] = field(default_factory=list)
    unknown_models: set[str] = field(default_factory=set)
    overflows: int = 0
    """Events of agents beyond the cap: counted, not judged."""
    forgotten_ids: int = 0
    """Event ids that found no room in the memory for duplicates."""
    spend_micro_usd: Counter[str] = field(default_factory=Counter)
    """By team, late calls included."""
    skew_s: dict[str, float] = field(default_factory=dict)
    """How far an agent's clock runs ahead of the broker's, in seconds."""
    watermark_s: float = 0.0
