"""What a detector is given and what it answers."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from mypy_extensions import mypyc_attr

from detectors.row import Memory, Row

Watches = Literal["agent", "run", "tree", "team"]
Rises = tuple[tuple[float, float], ...]
"""The weighted rise of a team or of several, and its weight, by span of time."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Call:
    """One finished model call, validated and priced.

    `now_s` is the stream's clock (when the broker had the record) and never goes back within a shard;
    `at_s` is the call's own time, at most `now_s`. `spend_micro_usd` is 0 for a call that failed unbilled.
    `list_micro_usd` prices the same tokens whether or not the call was billed: a failing loop burns too.
    `input_micro_usd_per_mtok` is the model's input price, to compare models with one another.
    """

    def __init__(
        self,
        now_s: float,
        at_s: float,
        agent: str,
        team: str,
        model: str,
        run: str,
        parent_run: str,
        step: int,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int,
        spend_micro_usd: int,
        list_micro_usd: int,
        input_micro_usd_per_mtok: int,
        failed: bool,
        latency_s: float,
        prompt_hash: str = "",
    ) -> None:
        self.now_s = now_s
        self.at_s = at_s
        self.agent = agent
        self.team = team
        self.model = model
        self.run = run
        self.parent_run = parent_run
        self.step = step
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cached_tokens = cached_tokens
        self.spend_micro_usd = spend_micro_usd
        self.list_micro_usd = list_micro_usd
        self.input_micro_usd_per_mtok = input_micro_usd_per_mtok
        self.failed = failed
        self.latency_s = latency_s
        self.prompt_hash = prompt_hash


@mypyc_attr(acyclic=True, free_list_len=1)
class Score:
    """How sure a detector is, on one scale for all: 1.0 is the bar at which it alone would kill.

    The reason is a full clause for a person, with the numbers in it: "38 calls in a row of 41,200 tokens".
    `blame` is the smallest scope that, once stopped, ends the trouble.
    """

    def __init__(self, value: float, reason: str, blame: Watches = "agent") -> None:
        self.value = value
        self.blame = blame
        self._reason = reason
        self._counted = False
        self._numbers = (0.0, 0.0, 0.0, 0.0)

    @property
    def reason(self) -> str:
        """The reason in words."""
        return self._reason.format(*self._numbers) if self._counted else self._reason

    def count(self, numbers: tuple[float, float, float, float]) -> None:
        """Take the numbers for the reason's braces."""
        self._counted, self._numbers = True, numbers

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Score)
            and (self.value, self.blame) == (other.value, other.blame)
            and self.reason == other.reason
        )

    def __hash__(self) -> int:
        return hash((self.value, self.blame))

    def __repr__(self) -> str:
        return f"Score({self.value!r}, {self.reason!r}, {self.blame!r})"


def counted(
    value: float, reason: str, blame: Watches, first: float, second: float, third: float, fourth: float = 0.0
) -> Score:
    """Return a score whose numbers go into the reason's braces once somebody reads it, which is seldom."""
    score = Score(value, reason, blame)
    score.count((first, second, third, fourth))
    return score


def span(seconds: float) -> str:
    """Return a span of time in words.

    >>> span(90.0), span(600.0)
    ('90 s', '10 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


CALM: Final = Score(0.0, "")
SPEAK_FROM: Final = 0.35
"""Below this a detector answers `CALM`: it would not matter even beside others, and words cost time."""


@mypyc_attr(acyclic=True)
class RunTrack(Memory):
    """What is kept of one open run.

    `log_growth` is the fading mean of the logarithm of what each step adds to the input, `climb_nats` the evidence
    that the context grows out of hand and `burst_nats` that it does so in its latest steps (see `snowball`),
    `astray_nats` that it goes up and down, or on for longer than is usual (see `stall`).
    `idle_nats` is the evidence that steps don't take it beyond `top_tokens`, the highest input of the latest steps, and
    `top_before_tokens`, that of the four before. `echoes` counts its calls that were like another (see `echo`).
    `tokens` are input and output of all its calls.
    """

    def __init__(self, first_s: float = 0.0, last_s: float = 0.0) -> None:
        self.first_s = first_s
        self.last_s = last_s
        self.calls = 0
        self.input_tokens = 0
        self.spend_micro_usd = 0
        self.log_growth = 0.0
        self.climb_nats = 0.0
        self.burst_nats = 0.0
        self.climb_from_tokens = 0
        self.climb_steps = 0
        self.stall_nats = 0.0
        self.astray_nats = 0.0
        self.stall_steps = 0
        self.stall_since_s = 0.0
        self.tokens = 0
        self.idle_nats = 0.0
        self.idle_steps = 0
        self.top_tokens = 0
        self.top_before_tokens = 0
        self.echoes = 0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.first_s = row.real(self.first_s)
        self.last_s = row.real(self.last_s)
        self.calls = row.whole(self.calls)
        self.input_tokens = row.whole(self.input_tokens)
        self.spend_micro_usd = row.whole(self.spend_micro_usd)
        self.log_growth = row.real(self.log_growth)
        self.climb_nats = row.real(self.climb_nats)
        self.burst_nats = row.real(self.burst_nats)
        self.climb_from_tokens = row.whole(self.climb_from_tokens)
        self.climb_steps = row.whole(self.climb_steps)
        self.stall_nats = row.real(self.stall_nats)
        self.astray_nats = row.real(self.astray_nats)
        self.stall_steps = row.whole(self.stall_steps)
        self.stall_since_s = row.real(self.stall_since_s)
        self.tokens = row.whole(self.tokens)
        self.idle_nats = row.real(self.idle_nats)
        self.idle_steps = row.whole(self.idle_steps)
        self.top_tokens = row.whole(self.top_tokens)
        self.top_before_tokens = row.whole(self.top_before_tokens)
        self.echoes = row.whole(self.echoes)


class TreeTrack(Memory):
    """What is kept of a run that has children: how many, how deep, and the evidence against it."""

    def __init__(self) -> None:
        self.children = 0
        self.depth = 0
        self.first_child_s = 0.0
        self.last_child_s = 0.0
        self.child_nats = 0.0
        self.surprise = 0.0
        self.nats = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.children = row.whole(self.children)
        self.depth = row.whole(self.depth)
        self.first_child_s = row.real(self.first_child_s)
        self.last_child_s = row.real(self.last_child_s)
        self.child_nats = row.real(self.child_nats)
        self.surprise = row.real(self.surprise)
        self.nats = row.real(self.nats)


@mypyc_attr(acyclic=True, free_list_len=1)
class Scene:
    """A call and what every detector needs to know of its surroundings, worked out once.

    `run` is the run as it stood before this call (`run.calls` is 0 for a run never seen), `depth` how far below its
    root it is, and `tree` the tree if it is part of one. `agent_calls`,
    `agent_age_s` and `gap_s` look back over the agent with its sub-agents. `common_log` is the logarithm of the
    rise that the whole shard shows at the moment, at least 0: what all do together is no one's fault.
    `failing_share` is the share of the shard's calls that failed a few minutes back: a provider's brown-out.
    `stall` works out `pace_nats`, how much faster than usual this step of a run came, and `lasting_nats`, how unusual
    it is for this agent that a run goes on. `astray_nats` is the same evidence of the run's parent.
    `loop` tells how many calls the agent usually makes in an hour while active, and how many it made in this one.
    """

    def __init__(
        self,
        call: Call,
        run: RunTrack,
        agent_calls: int,
        agent_age_s: float,
        gap_s: float,
        log_input: float,
        log_output: float,
        common_log: float = 0.0,
        failing_share: float = 0.0,
        depth: int = 0,
        tree: TreeTrack | None = None,
    ) -> None:
        self.call = call
        self.run = run
        self.agent_calls = agent_calls
        self.agent_age_s = agent_age_s
        self.gap_s = gap_s
        self.log_input = log_input
        self.log_output = log_output
        self.common_log = common_log
        self.failing_share = failing_share
        self.depth = depth
        self.tree = tree
        self.pace_nats = 0.0
        self.lasting_nats = 0.0
        self.astray_nats = 0.0
        self.hourly_calls = 10.0
        self.hour_calls = 0

    def busy(self) -> bool:
        """Tell whether this hour has far more calls than is usual: none of them teaches what honest calls are like."""
        return self.hour_calls >= 1.5 * self.hourly_calls + 3.0

    def accumulates(self) -> bool:
        """Tell whether the call took in the answer of the one before: polling, perhaps, rather than stuck."""
        call = self.call
        return self.run.calls > 0 and call.input_tokens - self.run.input_tokens >= 0.8 * call.output_tokens


@dataclass(frozen=True)
class TeamMinute:
    """One closed minute of a team: (calls, tokens, micro-dollars) of each member that called.

    `others` is the sum of `detectors.team.rise_of` over the other teams, by which a common rise is recognised.
    """

    team: str
    start_s: float
    now_s: float
    members: dict[str, tuple[int, int, int]]
    others: Rises = ()


class Detector:
    """One way of recognising a runaway: a frozen dataclass of its parameters.

    What it knows of a scope is its memory (a `Memory` of plain numbers), which the caller owns, keeps as a row and
    hands back; `step` may change it in place, and nothing else. It scores first and learns second, and learns a
    clipped value. Its name is its key in the registry.
    """

    def begin(self) -> Any:
        """Return the memory of a scope that has never been seen."""
        raise NotImplementedError

    def step(self, memory: Any, scene: Scene) -> tuple[Any, Score]:
        """Judge the scene's call against `memory`, then learn from it."""
        raise NotImplementedError
