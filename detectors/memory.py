"""What is remembered of an agent, a run tree and the shard."""

from typing import Final, cast

from librt.vecs import vec

from detectors.calibration import Calibration, Highs
from detectors.ceiling import CeilingMemory, ceiling_carried
from detectors.contract import RunTrack, TreeTrack
from detectors.drift import DriftMemory
from detectors.echo import EchoMemory
from detectors.errors import ErrorsMemory
from detectors.fanout import FanoutMemory
from detectors.loop import LoopMemory
from detectors.price import PriceMemory
from detectors.row import Memory, Row
from detectors.snowball import SnowballMemory
from detectors.stall import StallMemory
from detectors.surge import SurgeMemory
from detectors.table import Kept
from detectors.tempo import TempoMemory

_VOTES_MIN: Final = 100.0
_VOTES_STAY: Final = 0.905
_HOUR_MINUTES: Final = 60
_DAY_MINUTES: Final = 1440
_DAY_S: Final = 86_400.0
PLANNED_NATS: Final = 60.0
RUN_IDLE_S: Final = 86_400.0
KINDS: Final[tuple[type[Memory], ...]] = (
    LoopMemory,
    TempoMemory,
    SurgeMemory,
    StallMemory,
    SnowballMemory,
    ErrorsMemory,
    PriceMemory,
    FanoutMemory,
    DriftMemory,
    EchoMemory,
)
"""In the order of `JudgeParameters.by_call`: this is the place of each in `AgentMemory.held`, and in its row."""


class AgentMemory(Kept):
    """One agent with its sub-agents ("name/sub1"): its open runs, and what each detector knows of it in `held`.

    `runs` are in the order of their latest calls; `latest_run` is the last of them with `latest_track`, if known.
    `blocked` holds the agent ids that are killed, with the time until when. `root` is the root run of the latest
    `root_calls` calls. A trouble lasts from `trouble_since_s` to `trouble_last_s`; its start names the incident.
    `swept_s` is when ended runs were last looked for.
    """

    def __init__(self, first_s: float = 0.0) -> None:
        super().__init__(first_s)
        self.first_s = first_s
        self.calls = 0
        self.trouble_since_s = 0.0
        self.trouble_last_s = 0.0
        self.runs: dict[str, RunTrack] = {}
        self.latest_run = ""
        self.latest_track: RunTrack | None = None
        self.blocked: dict[str, float] = {}
        self.root = ""
        self.root_calls = 0
        self.ceiling: CeilingMemory | None = None
        self.held = vec[Memory | None]([None] * len(KINDS))
        self.swept_s = 0.0
        self.highs = Highs(len(KINDS))

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.last_s = row.real(self.last_s)
        self.first_s = row.real(self.first_s)
        self.calls = row.whole(self.calls)
        self.trouble_since_s = row.real(self.trouble_since_s)
        self.trouble_last_s = row.real(self.trouble_last_s)
        self.blocked = row.amounts(self.blocked)
        self.root = row.text(self.root)
        self.root_calls = row.whole(self.root_calls)
        self.highs.carry(row)
        runs = row.texts(list(self.runs))
        if row.unpacking:
            self.runs = {run: RunTrack() for run in runs}
        for track in self.runs.values():
            track.carry(row)
        self.ceiling = ceiling_carried(row, self.ceiling)
        for i in range(len(KINDS)):
            if row.flag(self.held[i] is not None):
                memory = self.held[i]
                if memory is None:
                    memory = KINDS[i]()
                memory.carry(row)
                self.held[i] = memory

    @property
    def loop(self) -> LoopMemory | None:
        """What `loop` knows."""
        return cast(LoopMemory | None, self.held[0])

    @property
    def tempo(self) -> TempoMemory | None:
        """What `tempo` knows."""
        return cast(TempoMemory | None, self.held[1])

    @property
    def surge(self) -> SurgeMemory | None:
        """What `surge` knows."""
        return cast(SurgeMemory | None, self.held[2])

    @property
    def stall(self) -> StallMemory | None:
        """What `stall` knows."""
        return cast(StallMemory | None, self.held[3])

    @property
    def snowball(self) -> SnowballMemory | None:
        """What `snowball` knows."""
        return cast(SnowballMemory | None, self.held[4])

    @property
    def errors(self) -> ErrorsMemory | None:
        """What `errors` knows."""
        return cast(ErrorsMemory | None, self.held[5])

    @property
    def price(self) -> PriceMemory | None:
        """What `price` knows."""
        return cast(PriceMemory | None, self.held[6])

    @property
    def drift(self) -> DriftMemory | None:
        """What `drift` knows."""
        return cast(DriftMemory | None, self.held[8])

    @property
    def echo(self) -> EchoMemory | None:
        """What `echo` knows."""
        return cast(EchoMemory | None, self.held[9])

    def run(self, run: str) -> RunTrack | None:
        """Return what is kept of a run; nearly every call is of the latest."""
        if run == self.latest_run and self.latest_track is not None:
            return self.latest_track
        return self.runs.get(run)

    def sweep(self, now_s: float) -> None:
        """Forget runs that were idle for a day at that time."""
        self.swept_s = now_s
        self.latest_track = None
        for run in [r for r, t in self.runs.items() if t.last_s < now_s - RUN_IDLE_S]:
            del self.runs[run]

    def calm(self) -> None:
        """Drop the evidence at hand: what was stopped must count neither as trouble nor as usual."""
        self.highs.clear()
        if self.loop is not None:
            self.loop.reset()
        if self.echo is not None:
            self.echo.reset()
        if self.tempo is not None:
            self.tempo.reset()
        if self.errors is not None:
            self.errors.reset()
            self.errors.chain = 0.0
        if self.surge is not None:
            self.surge.reset()

    def plan(self) -> None:
        """Take what was just stopped as meant: as much evidence again shall not stop this agent."""
        if self.loop is not None:
            self.loop.record = max(self.loop.record, PLANNED_NATS)
        if self.echo is not None:
            self.echo.record = max(self.echo.record, PLANNED_NATS)
        if self.stall is not None:
            self.stall.record = max(self.stall.record, PLANNED_NATS)
        if self.snowball is not None:
            self.snowball.record = max(self.snowball.record, PLANNED_NATS)
        if self.price is not None:
            self.price.plan()


class TreeMemory(Memory):
    """A run with children, or one that was judged: the depth of each member, and what the tree grew to.

    `pardoned` says that a person let it go on: the limits of a run no longer count for it.
    """

    def __init__(self, root: str = "", agent: str = "", last_s: float = 0.0) -> None:
        self.root = root
        self.agent = agent
        self.last_s = last_s
        self.depths: dict[str, int] = {root: 0}
        self.blocked_until_s = 0.0
        self.pardoned = False
        self.track = TreeTrack()

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.root = row.text(self.root)
        self.agent = row.text(self.agent)
        self.last_s = row.real(self.last_s)
        members = row.texts(list(self.depths))
        self.depths = {member: row.whole(self.depths.get(member, 0)) for member in members}
        self.blocked_until_s = row.real(self.blocked_until_s)
        self.pardoned = row.flag(self.pardoned)
        self.track.carry(row)


class Slot(Memory):
    """The first attempts of one minute, and how many of them failed."""

    def __init__(self, minute: int = 0) -> None:
        self.minute = minute
        self.calls = 0
        self.failed = 0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.minute = row.whole(self.minute)
        self.calls = row.whole(self.calls)
        self.failed = row.whole(self.failed)


class ShardMemory(Memory):
    """The shard's latest minutes, oldest first; the last of them is `slot`.

    `failing_share` is over the minutes that are complete; `evicted_s` is when ended runs were last forgotten.
    `rises` sums how far (a logarithm) agents are above their usual, `votes` how many that are: one a minute each,
    fading in ten minutes. `rise_usual` is its mean of the last day, `common_log` what is above that at the moment.
    """

    def __init__(self) -> None:
        self.evicted_s = 0.0
        self.slots: list[Slot] = []
        self.slot = Slot(-1)
        self.failing_share = 0.0
        self.rises = 0.0
        self.votes = 0.0
        self.rise_usual = 0.0
        self.rise_minutes = 0
        self.common_log = 0.0
        self.day_s = 0.0
        self.calibration = Calibration(len(KINDS))

    def carry(self, row: Row) -> None:
        """Name the fields."""
        count = row.whole(len(self.slots))
        if row.unpacking:
            self.slots = [Slot() for _ in range(count)]
        for slot in self.slots:
            slot.carry(row)
            self.slot = slot
        self.failing_share = row.real(self.failing_share)
        self.evicted_s = row.real(self.evicted_s)
        self.rises = row.real(self.rises)
        self.votes = row.real(self.votes)
        self.rise_usual = row.real(self.rise_usual)
        self.rise_minutes = row.whole(self.rise_minutes)
        self.common_log = row.real(self.common_log)
        self.day_s = row.real(self.day_s)
        self.calibration.carry(row)

    def turn_minute(self, now_s: float) -> None:
        """Weigh the votes: what is usual follows within a day, and what is far above it teaches little."""
        day_s = now_s - now_s % _DAY_S
        if day_s > self.day_s:
            self.day_s = day_s
            self.calibration.turn_day()
        if self.votes >= _VOTES_MIN:
            rise = self.rises / self.votes
            self.rise_minutes = min(self.rise_minutes + 1, _DAY_MINUTES)
            self.common_log = max(0.0, rise - self.rise_usual) if self.rise_minutes >= _HOUR_MINUTES else 0.0
            self.rise_usual += max(-0.3, min(0.3, rise - self.rise_usual)) / self.rise_minutes
        else:
            self.common_log = 0.0
        self.rises *= _VOTES_STAY
        self.votes *= _VOTES_STAY

    def vote(self, rise_log: float) -> None:
        """Count how far above its usual one agent is; nobody counts for more than a factor of e."""
        self.rises += max(-1.0, min(1.0, rise_log))
        self.votes += 1.0
