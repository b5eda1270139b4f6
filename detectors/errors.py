"""Calls that fail and are tried again, and again."""

from dataclasses import dataclass
from math import exp, log

from detectors.contract import CALM, SPEAK_FROM, Call, Detector, Scene, Score
from detectors.evidence import Evidence
from detectors.row import Row


class ErrorsMemory(Evidence):
    """How often calls fail, the chain of failures at hand, and the evidence over all runs."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0.0
        self.total = 0.0
        self.chain = 0.0
        self.chain_calls = 0
        self.chain_since_s = 0.0
        self.chain_last_s = 0.0
        self.chain_input = 0
        self.chain_run = ""
        self.chain_at_s = 0.0
        self.chain_began_s = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.failed = row.real(self.failed)
        self.total = row.real(self.total)
        self.chain = row.real(self.chain)
        self.chain_calls = row.whole(self.chain_calls)
        self.chain_since_s = row.real(self.chain_since_s)
        self.chain_last_s = row.real(self.chain_last_s)
        self.chain_input = row.whole(self.chain_input)
        self.chain_run = row.text(self.chain_run)
        super().carry(row)
        self.chain_at_s = row.real(self.chain_at_s)
        self.chain_began_s = row.real(self.chain_began_s)


@dataclass(frozen=True)
class Errors(Detector):
    """Catches a retry storm: one call that fails and is repeated at once, without backing off.

    A chain is made of failures of the same input; a success ends it, and it fades within `fade_s`, so clients that
    back off don't get far. Failures of different calls are weighed against how often this agent's calls fail, and
    against a brown-out, in which most fail for everyone. Failed calls are mostly unbilled: it saves quota, and the
    money that the storm would burn once calls succeed. Fooled by a storm slower than `fade_s` over `chain_max`.

    `chain_max`: failures in a row that justify a kill. `bar_nats`: evidence of mixed failures that does.
    `brownout_share`: the share of failures that a brown-out makes usual.
    """

    chain_max: float = 3.75
    fade_s: float = 30.0
    same_within: float = 0.02
    bar_nats: float = 20.0
    brownout_share: float = 0.35
    brownout_from: float = 0.1
    mixed_fade_s: float = 300.0
    memory_calls: float = 500.0

    def begin(self) -> ErrorsMemory:
        """Return a memory in which one call in fifty fails."""
        memory = ErrorsMemory()
        memory.failed, memory.total = 1.0, 50.0
        return memory

    def step(self, memory: ErrorsMemory, scene: Scene) -> tuple[ErrorsMemory, Score]:
        """Follow the chain and the mixed evidence; successes only count down."""
        call = scene.call
        share = max(self.brownout_share, min(0.9, memory.failed / memory.total + scene.failing_share))
        if not call.failed:
            if memory.chain != 0.0 and self._same(memory, call):
                memory.chain = 0.0
            if memory.nats != 0.0:
                memory.add(log(0.05 / (1.0 - share)), call.now_s, self.mixed_fade_s)
            self._learn(memory, 0.0)
            return memory, CALM
        total = memory.add(log(0.95 / share), call.now_s, self.mixed_fade_s)
        began_s = call.at_s - 0.7 * call.latency_s
        if memory.chain and began_s < memory.chain_at_s and call.at_s > memory.chain_began_s:
            return memory, CALM  # Both were under way at once: another caller's, no retry.
        memory.chain_at_s, memory.chain_began_s = call.at_s, began_s
        if memory.chain and self._same(memory, call):
            memory.chain *= exp((memory.chain_last_s - call.now_s) / self.fade_s)
        else:
            memory.chain, memory.chain_calls, memory.chain_since_s = 0.0, 0, call.now_s
            memory.chain_input, memory.chain_run = call.input_tokens, call.run
        memory.chain += 1.0
        memory.chain_calls += 1
        memory.chain_last_s = call.now_s
        if call.run != memory.chain_run:
            memory.chain_run = ""
        if total < self.bar_nats / 2:
            self._learn(memory, 1.0)
        brownout = scene.failing_share > self.brownout_from
        chain = (memory.chain - 1.0) / ((self.chain_max - 1.0) * (2.5 if brownout else 1.0))
        value = max(chain, total / self.bar_nats)
        return memory, CALM if value < SPEAK_FROM else self._say(memory, scene, value)

    def _same(self, memory: ErrorsMemory, call: Call) -> bool:
        within = self.same_within if call.run and call.run == memory.chain_run else self.same_within / 10
        return abs(call.input_tokens - memory.chain_input) <= within * memory.chain_input

    def _learn(self, memory: ErrorsMemory, failed: float) -> None:
        memory.failed += failed
        memory.total += 1.0
        if memory.total > self.memory_calls:
            memory.failed *= 0.5
            memory.total *= 0.5

    def _say(self, memory: ErrorsMemory, scene: Scene, value: float) -> Score:
        usual = memory.failed / memory.total
        if memory.chain > 2.0:
            span_s = scene.call.now_s - memory.chain_since_s
            reason = f"the same call failed {memory.chain_calls} times in {span_s:.0f} s; {usual:.1%} usually fail"
        else:
            span_s = scene.call.now_s - memory.since_s
            reason = f"nearly all of {memory.calls} calls failed in {span_s:.0f} s; {usual:.1%} usually fail"
        return Score(value, reason, "run" if memory.chain_run else "agent")
