"""The rows of a shard's judgement: what is remembered of an agent, a run tree, a team and the shard."""

from msgspec import Struct, field

from detectors.ceiling import CeilingMemory
from detectors.contract import RunTrack
from detectors.surge import SurgeMemory


class Trouble(Struct, array_like=True, gc=False):
    """When the present trouble of a scope began and was last seen; it names the incident."""

    since_s: float = 0.0
    last_s: float = 0.0


class AgentMemory(Struct, array_like=True):
    """One agent with its sub-agents ("name/sub1"): its open runs, and what each detector knows of it.

    `blocked` holds the agent ids that are killed, with the time until when.
    """

    first_s: float
    last_s: float
    calls: int = 0
    usual_usd_per_min: float = 0.0
    runs: dict[str, RunTrack] = {}
    blocked: dict[str, float] = {}
    troubles: dict[str, Trouble] = {}
    ceiling: CeilingMemory | None = None
    surge: SurgeMemory | None = None


class TreeMemory(Struct, array_like=True):
    """A run with children (or a killed one): the depth of each member, and how fast they came."""

    root: str
    last_s: float
    depths: dict[str, int] = {}
    blocked_until_s: float = 0.0
    trouble: Trouble = field(default_factory=Trouble)


class TeamMemory(Struct, array_like=True):
    """What is known of a team."""

    last_s: float = 0.0
    blocked_until_s: float = 0.0


class ShardMemory(Struct, array_like=True):
    """The shard's calls and failures in slots of five minutes: (slot, calls, failures), oldest first."""

    slots: list[tuple[int, int, int]] = []
