"""The rows of a shard's judgement: what is remembered of an agent, a run tree, a team and the shard."""

from msgspec import Struct, field

from detectors.ceiling import CeilingMemory
from detectors.contract import RunTrack, TreeTrack
from detectors.drift import DriftMemory
from detectors.errors import ErrorsMemory
from detectors.fanout import FanoutMemory
from detectors.loop import LoopMemory
from detectors.price import PriceMemory
from detectors.snowball import SnowballMemory
from detectors.stall import StallMemory
from detectors.surge import SurgeMemory
from detectors.tempo import TempoMemory

PLANNED_NATS = 60.0


class AgentMemory(Struct, array_like=True):
    """One agent with its sub-agents ("name/sub1"): its open runs, and what each detector knows of it.

    `blocked` holds the agent ids that are killed, with the time until when. `roots` are the root runs of the latest
    calls. A trouble lasts from `trouble_since_s` to `trouble_last_s`; its start names the incident.
    """

    first_s: float
    last_s: float
    calls: int = 0
    trouble_since_s: float = 0.0
    trouble_last_s: float = 0.0
    runs: dict[str, RunTrack] = {}
    blocked: dict[str, float] = {}
    roots: list[str] = []
    ceiling: CeilingMemory | None = None
    surge: SurgeMemory | None = None
    loop: LoopMemory | None = None
    tempo: TempoMemory | None = None
    snowball: SnowballMemory | None = None
    errors: ErrorsMemory | None = None
    price: PriceMemory | None = None
    fanout: FanoutMemory | None = None
    stall: StallMemory | None = None
    drift: DriftMemory | None = None

    def calm(self) -> None:
        """Drop the evidence at hand: what was stopped must count neither as trouble nor as usual."""
        for memory in (self.loop, self.tempo, self.errors):
            if memory is not None:
                memory.evidence.reset()
        if self.errors is not None:
            self.errors.chain = 0.0
        if self.surge is not None:
            self.surge.reset()

    def plan(self) -> None:
        """Take what was just stopped as meant: as much evidence again shall not stop this agent."""
        if self.loop is not None:
            self.loop.evidence.record = max(self.loop.evidence.record, PLANNED_NATS)
        if self.stall is not None:
            self.stall.record = max(self.stall.record, PLANNED_NATS)
        if self.snowball is not None:
            self.snowball.record = max(self.snowball.record, PLANNED_NATS)
        if self.price is not None:
            self.price.plan()


class TreeMemory(Struct, array_like=True):
    """A run with children, or one that was judged: the depth of each member, and what the tree grew to."""

    root: str
    agent: str
    last_s: float
    depths: dict[str, int] = {}
    blocked_until_s: float = 0.0
    track: TreeTrack = field(default_factory=TreeTrack)


class ShardMemory(Struct, array_like=True):
    """The shard's first attempts and how many failed, by minute, oldest first: minute, calls, failures."""

    slots: list[list[int]] = []
    failing_share: float = 0.0
    """Over the minutes that are complete."""
