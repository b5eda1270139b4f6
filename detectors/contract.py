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
    """

    value: float
    reason: str


CALM = Score(0.0, "")

Memory = TypeVar("Memory", bound=Struct)


class Detector(Protocol[Memory]):
    """One way of recognising a runaway.

    A detector holds parameters only. What it knows of a scope is its memory, a Struct of plain numbers that
    the caller keeps, snapshots and hands back. It scores first and learns second, and learns a clipped value.
    """

    name: ClassVar[str]
    watches: ClassVar[Watches]
    memory_type: ClassVar[type[Struct]]

    def begin(self, call: Call) -> Memory:
        """Return the memory of a scope that has never been seen."""

    def step(self, memory: Memory, call: Call) -> tuple[Memory, Score]:
        """Judge `call` against `memory`, then learn from it."""


AnyDetector = Detector[Any]
