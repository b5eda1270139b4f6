"""Calls at a machine's pace, without a pause."""

from dataclasses import dataclass
from math import log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score, counted
from detectors.evidence import Evidence
from detectors.row import Row, bucket, floats, halve, scaled, zeros

# Upper ends of the gaps between calls, in seconds.
_ENDS_S: Final = floats(0.25, 1.0, 2.0, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 90.0, 300.0)
_RUNAWAY: Final = floats(0.07, 0.1, 0.14, 0.18, 0.16, 0.14, 0.1, 0.05, 0.03, 0.02, 0.006, 0.004)
_HONEST: Final[tuple[float, ...]] = (0.03, 0.03, 0.03, 0.04, 0.045, 0.075, 0.14, 0.14, 0.13, 0.11, 0.1, 0.13)


class TempoMemory(Evidence):
    """How often each gap between calls occurs, and the evidence of a pace that is not the agent's own."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = zeros(len(_HONEST))
        self.total = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.counts = row.reals(self.counts)
        self.total = row.real(self.total)
        super().carry(row)


@dataclass(frozen=True)
class Tempo(Detector):
    """Catches calls that follow one another faster, and for longer, than this agent's ever did.

    The gaps of the agent's own past say how likely each gap is; a new agent is judged by what is usual of agents
    at large. A burst of honest work raises the bar for the next one. Fooled by a runaway at the agent's own pace.

    `bar_nats`: evidence that justifies a kill; the rest as in `loop`.
    """

    bar_nats: float = 90.0
    call_nats_max: float = 1.8
    fade_s: float = 600.0
    prior_calls: float = 60.0
    memory_calls: float = 2000.0
    berth: float = 1.6
    bar_nats_max: float = 400.0
    learn_below_nats: float = 10.0

    def begin(self) -> TempoMemory:
        """Return a memory with the usual gaps of agents at large."""
        memory = TempoMemory()
        memory.counts, memory.total = scaled(_HONEST, self.prior_calls), self.prior_calls
        return memory

    def step(self, memory: TempoMemory, scene: Scene) -> tuple[TempoMemory, Score]:
        """Weigh the gap before this call."""
        if not scene.agent_calls or scene.depth:
            return memory, CALM
        i = bucket(_ENDS_S, scene.gap_s)
        counts = memory.counts
        nats = log(_RUNAWAY[i] * memory.total / counts[i]) - scene.common_log
        total = memory.add(min(nats, self.call_nats_max), scene.call.now_s, self.fade_s)
        if total < self.learn_below_nats:
            counts[i] += 1.0
            memory.total += 1.0
            if memory.total > self.memory_calls:
                halve(counts)
                memory.total *= 0.5
        value = total / memory.bar(self.bar_nats, self.berth, self.bar_nats_max)
        if value < SPEAK_FROM:
            return memory, CALM
        span_s = max(1.0, scene.call.now_s - memory.since_s)
        slower = 0.0
        for j in range(i + 1, len(counts)):
            slower += counts[j]
        slower /= memory.total
        reason = "{:.0f} calls in {:.0f} s without a pause; {:.0%} of its gaps are usually longer"
        return memory, counted(value, reason, "agent", float(memory.calls), span_s, slower)
