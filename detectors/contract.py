"""What a detector is given and what it answers."""

from typing import Any, ClassVar, Literal, Protocol, TypeVar

from msgspec import Struct

Watches = Literal["agent", "run", "tree", "team"]


class Call(Struct, frozen=True, gc=False):
    """One finished model call, validated and priced.

    `now_s` is the stream's clock (when the broker had the record) and never goes back within a shard;
    `at_s` is the call's own time, at most `now_s`. `spend_micro_usd` is 0 for a call that failed unbilled.
    `list_micro_usd` prices the same tokens whether or not the call was billed: a failing loop burns too.
    `input_micro_usd_per_mtok` is the model's input price, to compare models with one another.
    """

    now_s: float
    at_s: float
    agent: str
    team: str
    model: str
    run: str
    parent_run: str
    step: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    spend_micro_usd: int
    list_micro_usd: int
    input_micro_usd_per_mtok: int
    failed: bool
    latency_s: float
    prompt_hash: str = ""


class Score(Struct, frozen=True, gc=False):
    """How sure a detector is, on one scale for all: 1.0 is the bar at which it alone would kill.

    The reason is a full clause for a person, with the numbers in it: "38 calls in a row of 41,200 tokens".
    `blame` is the smallest scope that, once stopped, ends the trouble.
    """

    value: float
    reason: str
    blame: Watches = "agent"


CALM = Score(0.0, "")
SPEAK_FROM = 0.35
"""Below this a detector answers `CALM`: it would not matter even beside others, and words cost time."""


class RunTrack(Struct, array_like=True, gc=False):
    """What is kept of one open run."""

    first_s: float
    last_s: float
    calls: int = 0
    input_tokens: int = 0
    spend_micro_usd: int = 0
    log_growth: float = 0.0
    """Fading mean of the logarithm of what each step adds to the input."""
    climb_nats: float = 0.0
    """Evidence that the context grows out of hand; see `snowball`."""
    climb_from_tokens: int = 0
    climb_steps: int = 0
    stall_nats: float = 0.0
    erratic_nats: float = 0.0
    """Evidence that the context goes up and down; see `stall`."""
    stall_steps: int = 0
    stall_since_s: float = 0.0
    tokens: int = 0
    """Input and output of all its calls."""


class TreeTrack(Struct, array_like=True, gc=False):
    """What is kept of a run that has children: how many, how deep, and the evidence against it."""

    children: int = 0
    depth: int = 0
    first_child_s: float = 0.0
    last_child_s: float = 0.0
    child_nats: float = 0.0
    surprise: float = 0.0
    nats: float = 0.0


class Scene(Struct, gc=False):
    """A call and what every detector needs to know of its surroundings, worked out once.

    `run` is the run as it stood before this call (`run.calls` is 0 for a run never seen), `depth` how far below its
    root it is, and `tree` the tree if it is part of one. `agent_calls`,
    `agent_age_s` and `gap_s` look back over the agent with its sub-agents. `common_log` is the logarithm of the
    rise that the whole shard shows at the moment, at least 0: what all do together is no one's fault.
    """

    call: Call
    run: RunTrack
    agent_calls: int
    agent_age_s: float
    gap_s: float
    log_input: float
    log_output: float
    common_log: float = 0.0
    failing_share: float = 0.0
    """Share of the shard's calls that failed a few minutes back: a provider's brown-out."""
    depth: int = 0
    tree: TreeTrack | None = None
    pace_nats: float = 0.0
    """How much faster than usual this step of a run came; worked out by `stall`."""
    lasting_nats: float = 0.0
    """How unusual it is for this agent that a run goes on; worked out by `stall`."""
    erratic_nats: float = 0.0
    """Evidence that the context of the run's parent goes up and down."""


class TeamMinute(Struct, frozen=True, array_like=True):
    """One closed minute of a team: (calls, tokens, micro-dollars) of each member that called.

    `others` is the sum of `detectors.team.rise_of` over the other teams, by which a common rise is recognised.
    """

    team: str
    start_s: float
    now_s: float
    members: dict[str, tuple[int, int, int]]
    others: tuple[float, float] = (0.0, 0.0)


Memory = TypeVar("Memory", bound=Struct)


class Detector(Protocol[Memory]):
    """One way of recognising a runaway.

    A detector holds parameters only. What it knows of a scope is its memory, a Struct of plain numbers that
    the caller owns, snapshots and hands back; `step` may change it in place, and nothing else. It scores first
    and learns second, and learns a clipped value.
    """

    name: ClassVar[str]
    watches: ClassVar[Watches]
    memory_type: ClassVar[type[Struct]]

    def begin(self) -> Memory:
        """Return the memory of a scope that has never been seen."""

    def step(self, memory: Memory, scene: Scene) -> tuple[Memory, Score]:
        """Judge the scene's call against `memory`, then learn from it."""


AnyDetector = Detector[Any]
