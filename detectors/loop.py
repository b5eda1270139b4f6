"""The same call again and again."""

from math import exp, log
from typing import ClassVar

from msgspec import Struct

from detectors.contract import CALM, Scene, Score, Watches
from detectors.evidence import Evidence

# A call is compared with the latest few: how near in input (exact, 1 %, 4 %) times how near in output.
_INPUT_NEAR = (0.0015, 0.01, 0.04)
_OUTPUT_NEAR = (0.03, 0.2)
_UNLIKE = 9
_LOOPING = (*(i * o for i in (0.35, 0.2, 0.1) for o in (0.45, 0.4, 0.15)), 0.35)
_HONEST = (0.02, 0.03, 0.03, 0.03, 0.07, 0.08, 0.05, 0.11, 0.15, 0.43)
_GAP_NEAR = (0.3, 0.8)
_GAP_NATS = (0.9, 0.2, -0.6)


class LoopMemory(Struct, array_like=True, gc=False):
    """The sizes of the latest calls (input, output, when: logarithms and seconds), and how often calls are alike."""

    counts: list[float]
    total: float
    inputs: list[float]
    outputs: list[float]
    times: list[float]
    runs: list[str]
    evidence: Evidence
    gap_s: float = 0.0
    same_run: int = 0
    odd: float = 0.0


class Loop(Struct, frozen=True):
    """Catches an agent that repeats itself: calls of the same size, over and over, also among honest ones.

    Each call is compared with the latest few in input and output size. How often an honest call of this agent is
    that near to another is counted, so an agent that always sends the same template is no suspect; regular gaps
    between the repeats add to the evidence. Also catches two agents of a tree that hand the same work back and
    forth, since a tree is one agent here. Fooled by loops whose sizes vary like honest work, and for its first
    calls by a new agent that honestly repeats itself.

    `bar_nats`: evidence that justifies a kill. `fade_s`: how long evidence lasts. `prior_calls`: what the usual
    frequencies are worth before the agent's own are known. `memory_calls`: how far back these reach.
    `berth`: how far above its own calm peaks an agent must go. `learn_below_nats`: above, a call doesn't teach.
    """

    name: ClassVar[str] = "loop"
    watches: ClassVar[Watches] = "agent"
    memory_type: ClassVar[type[Struct]] = LoopMemory

    bar_nats: float = 28.0
    fade_s: float = 3600.0
    prior_calls: float = 30.0
    memory_calls: float = 1000.0
    berth: float = 1.6
    bar_nats_max: float = 80.0
    learn_below_nats: float = 10.0
    compared: int = 6

    def begin(self) -> LoopMemory:
        """Return a memory with no calls, and the usual frequencies."""
        counts = [share * self.prior_calls for share in _HONEST]
        return LoopMemory(counts, self.prior_calls, [], [], [], [], Evidence())

    def step(self, memory: LoopMemory, scene: Scene) -> tuple[LoopMemory, Score]:
        """Compare the call with the latest ones; failed calls are another detector's."""
        call = scene.call
        if call.failed:
            return memory, CALM
        kind, twin = self._nearest(memory, scene)
        nats = log(_LOOPING[kind] * memory.total / memory.counts[kind])
        if kind != _UNLIKE:
            nats += self._rhythm(memory, call.now_s - memory.times[twin])
            same = call.run != "" and memory.runs[twin] == call.run
            memory.same_run = memory.same_run + 1 if same else 0
        evidence = memory.evidence
        total = evidence.add(nats, call.now_s, self.fade_s)
        share = memory.counts[_UNLIKE] / memory.total
        gain = log(0.75 / share) if kind == _UNLIKE else log(0.25 / (1.0 - share))
        memory.odd = scene.odd_nats = max(0.0, memory.odd * exp(-scene.gap_s / 300.0) + gain)
        self._learn(memory, scene, kind)
        value = total / evidence.bar(self.bar_nats, self.berth, self.bar_nats_max)
        if value < 0.25:
            return memory, CALM
        return memory, self._say(memory, scene, value)

    def _nearest(self, memory: LoopMemory, scene: Scene) -> tuple[int, int]:
        log_input, log_output, outputs = scene.log_input, scene.log_output, memory.outputs
        near, kind, twin = 9e9, _UNLIKE, 0
        for i, other in enumerate(memory.inputs):
            apart = abs(other - log_input)
            if apart <= _INPUT_NEAR[2]:
                output_apart = abs(outputs[i] - log_output)
                distance = 10.0 * apart + output_apart
                if distance < near:
                    near, twin = distance, i
                    kind = 0 if apart <= _INPUT_NEAR[0] else 3 if apart <= _INPUT_NEAR[1] else 6
                    kind += 0 if output_apart <= _OUTPUT_NEAR[0] else 1 if output_apart <= _OUTPUT_NEAR[1] else 2
        return kind, twin

    def _rhythm(self, memory: LoopMemory, gap_s: float) -> float:
        before_s, memory.gap_s = memory.gap_s, gap_s
        if before_s <= 0.0 or gap_s <= 0.0:
            return 0.0
        apart = abs(log(gap_s / before_s))
        return _GAP_NATS[0] if apart < _GAP_NEAR[0] else _GAP_NATS[1] if apart < _GAP_NEAR[1] else _GAP_NATS[2]

    def _learn(self, memory: LoopMemory, scene: Scene, kind: int) -> None:
        if memory.evidence.nats < self.learn_below_nats:
            memory.counts[kind] += 1.0
            memory.total += 1.0
            if memory.total > self.memory_calls:
                memory.counts = [count * 0.5 for count in memory.counts]
                memory.total *= 0.5
        memory.inputs.append(scene.log_input)
        memory.outputs.append(scene.log_output)
        memory.times.append(scene.call.now_s)
        memory.runs.append(scene.call.run)
        if len(memory.inputs) > self.compared:
            del memory.inputs[0], memory.outputs[0], memory.times[0], memory.runs[0]

    def _say(self, memory: LoopMemory, scene: Scene, value: float) -> Score:
        evidence, call = memory.evidence, scene.call
        honest = 1.0 - memory.counts[_UNLIKE] / memory.total
        reason = (
            f"{evidence.calls} calls in {_span(call.now_s - evidence.since_s)}, most of them about "
            f"{call.input_tokens:,} tokens in and {call.output_tokens:,} out; usually {honest:.0%} resemble another"
        )
        return Score(value, reason, "run" if memory.same_run >= 3 else "agent")


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
