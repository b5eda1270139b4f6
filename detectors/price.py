"""A model that this agent never used, and far dearer."""

from dataclasses import dataclass
from math import log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score
from detectors.row import Memory, Row

_MODELS_KEPT: Final = 12


class Uses(Memory):
    """How many calls a model had."""

    def __init__(self) -> None:
        self.calls = 1.0

    def carry(self, row: Row) -> None:
        """Name the field."""
        self.calls = row.real(self.calls)


class PriceMemory(Memory):
    """The models used, each with its calls; how many runs there were; the suspect model at hand."""

    def __init__(self) -> None:
        self.models: dict[str, Uses] = {}
        self.dearest = 0.0
        self.runs = 0
        self.suspect = ""
        self.suspect_calls = 0
        self.suspect_since_s = 0.0
        self.suspect_price = 0.0
        self.surprise = 0.0
        self.latest = ""
        self.latest_uses: Uses | None = None

    def carry(self, row: Row) -> None:
        """Name the fields."""
        for model in row.texts(list(self.models)):
            uses = self.models.get(model)
            if uses is None:
                uses = self.models[model] = Uses()
            uses.carry(row)
        self.dearest = row.real(self.dearest)
        self.runs = row.whole(self.runs)
        self.suspect = row.text(self.suspect)
        self.suspect_calls = row.whole(self.suspect_calls)
        self.suspect_since_s = row.real(self.suspect_since_s)
        self.suspect_price = row.real(self.suspect_price)
        self.surprise = row.real(self.surprise)

    def plan(self) -> None:
        """Accept the suspect model: a person said that it was meant."""
        if self.suspect:
            self.accept(self.suspect, self.suspect_price)

    def uses(self, model: str) -> Uses | None:
        """Return how many calls a model had, if it is usual; nearly every call is on the latest."""
        if self.latest_uses is None or model != self.latest:
            self.latest, self.latest_uses = model, self.models.get(model)
        return self.latest_uses

    def accept(self, model: str, price: float) -> None:
        """Take a model as usual from now on."""
        self.latest_uses = None
        self.models[model] = Uses()
        self.dearest = max(self.dearest, price)
        self.suspect = ""
        if len(self.models) > _MODELS_KEPT:
            del self.models[min(self.models, key=lambda name: self.models[name].calls)]


@dataclass(frozen=True)
class Price(Detector):
    """Catches a switch to a model that the agent has never used and that costs many times the dearest it has.

    How surprising a new model is depends on the agent: one that has used a single model for hundreds of runs may
    be stopped at the second call, one that changes models from run to run may not. A model that is little surprising
    when it first appears is accepted at once, one that nobody stopped after `accept_calls` calls and a day. Fooled
    by a dearer model the agent has used before.

    `ratio`: how many times dearer a model must be. `bar_nats`: surprise that justifies a kill.
    `calls_min`: calls on the new model before a kill.
    """

    ratio: float = 4.5
    bar_nats: float = 4.5
    calls_min: int = 2
    accept_below: float = 0.7
    accept_calls: int = 300
    accept_s: float = 86_400.0

    def begin(self) -> PriceMemory:
        """Return a memory that knows no model."""
        return PriceMemory()

    def step(self, memory: PriceMemory, scene: Scene) -> tuple[PriceMemory, Score]:
        """Judge the model's novelty and price; a suspect model doesn't teach."""
        call = scene.call
        known = memory.uses(call.model)
        if known is not None:
            known.calls += 1.0
            self._count_run(memory, scene)
            return memory, CALM
        price = float(call.input_micro_usd_per_mtok)
        if not memory.models or price < self.ratio * memory.dearest or call.failed:
            if not call.failed:
                memory.accept(call.model, price)
                self._count_run(memory, scene)
            return memory, CALM
        if memory.suspect != call.model:
            surprise = log((memory.runs + 2.0) / (len(memory.models) - 0.5))
            if surprise < self.accept_below * self.bar_nats:
                memory.accept(call.model, price)
                return memory, CALM
            memory.suspect, memory.suspect_calls, memory.suspect_since_s = call.model, 0, call.now_s
            memory.suspect_price, memory.surprise = price, surprise
        memory.suspect_calls += 1
        if memory.suspect_calls > self.accept_calls and call.now_s - memory.suspect_since_s > self.accept_s:
            memory.accept(call.model, price)
            return memory, CALM
        value = memory.surprise / self.bar_nats
        if memory.suspect_calls < self.calls_min:
            value = min(value, 0.9)
        times = price / max(memory.dearest, 1.0)
        reason = (
            f"{memory.suspect_calls} calls on {call.model}, never used in {memory.runs:,} runs "
            f"and {times:.0f} times as dear as the dearest before"
        )
        return memory, CALM if value < SPEAK_FROM else Score(value, reason)

    def _count_run(self, memory: PriceMemory, scene: Scene) -> None:
        if not scene.depth and not scene.run.calls:
            memory.runs += 1
