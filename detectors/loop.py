"""The same call again and again."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score
from detectors.evidence import Evidence
from detectors.row import Memory, Row, halve, latest, scaled, zeros

# A call is compared with the suspect in input (exact, 1 %, 4 %) and in output size: nine ways to be like it.
_INPUT_NEAR: Final[tuple[float, ...]] = (0.0015, 0.01, 0.04)
_OUTPUT_NEAR: Final[tuple[float, ...]] = (0.03, 0.2)
_UNLIKE: Final = 9
_LOOPING: Final[tuple[float, ...]] = (*(i * o for i in (0.35, 0.2, 0.1) for o in (0.45, 0.4, 0.15)), 0.35)
_HONEST: Final[tuple[float, ...]] = (0.008, 0.012, 0.02, 0.012, 0.03, 0.06, 0.018, 0.05, 0.1, 0.69)
_RHYTHM_NEAR: Final[tuple[float, ...]] = (0.3, 0.8)
_RHYTHM_LOOPING: Final[tuple[float, ...]] = (0.62, 0.26, 0.12)
_RHYTHM_HONEST: Final[tuple[float, ...]] = (0.17, 0.25, 0.58)


class LoopMemory(Memory):
    """The sizes of the latest calls (logarithms), the suspect among them, and how often calls are like it."""

    def __init__(self) -> None:
        self.counts = zeros(len(_HONEST))
        self.total = 0.0
        self.rhythm = zeros(len(_RHYTHM_HONEST))
        self.inputs = zeros(0)
        self.evidence = Evidence()
        self.input = 0.0
        self.output = 0.0
        self.suspect_s = 0.0
        self.suspect_at_s = 0.0
        self.gap_s = 0.0
        self.run = ""
        self.same_run = 0
        self.hour = 0
        self.hour_calls = 0
        self.hours = 1.0
        self.hourly = 10.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.counts = row.reals(self.counts)
        self.total = row.real(self.total)
        self.rhythm = row.reals(self.rhythm)
        self.inputs = row.reals(self.inputs)
        self.evidence.carry(row)
        self.input = row.real(self.input)
        self.output = row.real(self.output)
        self.suspect_s = row.real(self.suspect_s)
        self.suspect_at_s = row.real(self.suspect_at_s)
        self.gap_s = row.real(self.gap_s)
        self.run = row.text(self.run)
        self.same_run = row.whole(self.same_run)
        self.hour = row.whole(self.hour)
        self.hour_calls = row.whole(self.hour_calls)
        self.hours = row.real(self.hours)
        self.hourly = row.real(self.hourly)

    def tally(self, now_s: float) -> None:
        """Count the call in its hour; an hour that is over tells how many calls are usual while active."""
        hour = int(now_s / 3600.0)
        if hour != self.hour:
            if self.hour and self.hour_calls:
                self.hours = min(self.hours + 1.0, 72.0)
                self.hourly += (min(self.hour_calls, 2.0 * self.hourly + 5.0) - self.hourly) / self.hours
            self.hour, self.hour_calls = hour, 0
        self.hour_calls += 1

    def suspect(self, scene: Scene) -> None:
        """Follow this call as the one that may repeat itself."""
        self.input, self.output = scene.log_input, scene.log_output
        self.suspect_s, self.suspect_at_s = scene.call.now_s, scene.call.at_s
        self.run, self.same_run, self.gap_s = scene.call.run, 0, 0.0


@dataclass(frozen=True)
class Loop(Detector):
    """Catches an agent that repeats itself: calls of one size, over and over, also among honest ones.

    When a call resembles one of the latest few it becomes the suspect, and every further call is compared with it;
    the suspect may drift as long as each repeat resembles the one before. How often honest calls of this agent
    resemble a suspect is counted, so an agent that always sends the same template is none; regular gaps between
    the repeats add to the evidence, and a rate no higher than usual takes from it. Also catches two agents of a
    tree that hand the same work back and forth, since a tree is one agent here. Fooled by loops whose sizes vary
    like honest work, and for its first calls by a new agent that honestly repeats itself.

    `bar_nats`: evidence that justifies a kill. `fade_s`: how long evidence lasts. `prior_calls`: what the usual
    frequencies are worth before the agent's own are known. `memory_calls`: how far back these reach.
    `berth`: how far above its own calm peaks an agent must go. `learn_below_nats`: above, a call doesn't teach.
    """

    bar_nats: float = 18.0
    fade_s: float = 3600.0
    fade_calls: float = 20.0
    bar_nats_per_log_rate: float = 2.2
    prior_calls: float = 40.0
    memory_calls: float = 1000.0
    berth: float = 2.2
    bar_nats_max: float = 100.0
    learn_below_nats: float = 7.0
    compared: int = 6
    call_nats_max: float = 4.0
    forget: float = 0.025
    accumulating: float = 0.3

    def begin(self) -> LoopMemory:
        """Return a memory with no calls, and the usual frequencies."""
        memory = LoopMemory()
        memory.counts, memory.total = scaled(_HONEST, self.prior_calls), self.prior_calls
        memory.rhythm = scaled(_RHYTHM_HONEST, 10.0)
        return memory

    def step(self, memory: LoopMemory, scene: Scene) -> tuple[LoopMemory, Score]:
        """Compare the call with the suspect; failed calls are another detector's."""
        call, evidence = scene.call, memory.evidence
        if call.failed:
            return memory, CALM
        learn = evidence.nats < self.learn_below_nats and memory.hour_calls < 1.5 * memory.hourly + 3.0
        kind = _alike(memory, scene)
        if kind != _UNLIKE and call.at_s - min(2.0, 0.7 * call.latency_s) < memory.suspect_at_s:
            kind = _UNLIKE  # It began before the last one had ended: another caller, not a loop.
        nats = log(_LOOPING[kind] * memory.total / memory.counts[kind])
        if learn:
            self._learn(memory, kind)
        if nats > 0.0:
            nats *= min(1.0, 3.5 * memory.counts[_UNLIKE] / memory.total)
        if kind != _UNLIKE:
            nats = min(nats + self._repeat(memory, scene, learn), self.call_nats_max)
            if scene.run.calls and call.input_tokens - scene.run.input_tokens >= 0.8 * call.output_tokens:
                nats *= self.accumulating  # It takes in its own answers: polling, perhaps, rather than stuck.
        nats -= self.forget * evidence.nats
        nats += max(-1.2, min(0.0, 0.7 - scene.gap_s * memory.hourly / 1800.0))
        memory.tally(call.now_s)
        total = evidence.add(nats, call.now_s, max(self.fade_s, self.fade_calls * 3600.0 / memory.hourly))
        unlike = self._remember(memory, scene)
        if total <= 0.0 and not unlike:
            memory.suspect(scene)
        base = self.bar_nats - self.bar_nats_per_log_rate * max(
            0.0, log(60.0 / (1.0 + max(memory.hourly, memory.hour_calls)))
        )
        value = total / evidence.bar(base, self.berth, self.bar_nats_max)
        return memory, CALM if value < SPEAK_FROM else self._say(memory, scene, value)

    def _repeat(self, memory: LoopMemory, scene: Scene, learn: bool) -> float:
        """Let the suspect follow its repeat, and weigh how regular the repeats are."""
        call = scene.call
        memory.input += 0.5 * (scene.log_input - memory.input)
        memory.output += 0.3 * (scene.log_output - memory.output)
        memory.same_run = memory.same_run + 1 if call.run and call.run == memory.run else 0
        memory.run = call.run
        gap_s, before_s = call.now_s - memory.suspect_s, memory.gap_s
        memory.suspect_s, memory.gap_s = call.now_s, gap_s
        memory.suspect_at_s = call.at_s
        if before_s <= 0.0 or gap_s <= 0.0:
            return 0.0
        apart = abs(log(gap_s / before_s))
        kind = 0 if apart < _RHYTHM_NEAR[0] else 1 if apart < _RHYTHM_NEAR[1] else 2
        rhythm = memory.rhythm
        nats = log(_RHYTHM_LOOPING[kind] * (rhythm[0] + rhythm[1] + rhythm[2]) / rhythm[kind])
        if learn:
            rhythm[kind] += 1.0
            if rhythm[kind] > self.memory_calls:
                halve(rhythm)
        return nats

    def _learn(self, memory: LoopMemory, kind: int) -> None:
        memory.counts[kind] += 1.0
        memory.total += 1.0
        if memory.total > self.memory_calls:
            halve(memory.counts)
            memory.total *= 0.5

    def _remember(self, memory: LoopMemory, scene: Scene) -> bool:
        """Keep the call among the latest; tell whether it is unlike all of them."""
        log_input, inputs = scene.log_input, memory.inputs
        unlike = True
        for other in inputs:
            if -_INPUT_NEAR[2] < other - log_input < _INPUT_NEAR[2]:
                unlike = False
                break
        memory.inputs = latest(inputs, log_input, self.compared)
        return unlike

    def _say(self, memory: LoopMemory, scene: Scene, value: float) -> Score:
        evidence, call = memory.evidence, scene.call
        alike = 1.0 - memory.counts[_UNLIKE] / memory.total
        reason = (
            f"{evidence.calls} calls in {_span(call.now_s - evidence.since_s)}, most of them about "
            f"{exp(memory.input):,.0f} tokens in and {exp(memory.output):,.0f} out; usually {alike:.0%} repeat another"
        )
        return Score(value, reason, "run" if memory.same_run >= 3 else "agent")


def _alike(memory: LoopMemory, scene: Scene) -> int:
    """Return in which of nine ways the call is like the suspect; one token more or less is still exact."""
    input_apart = abs(scene.log_input - memory.input)
    if input_apart > _INPUT_NEAR[2]:
        return _UNLIKE
    call = scene.call
    exact, near = max(_INPUT_NEAR[0], 1.2 / (call.input_tokens + 1.0)), _INPUT_NEAR[1]
    kind = 0 if input_apart <= exact else 3 if input_apart <= near else 6
    output_apart = abs(scene.log_output - memory.output)
    exact = max(_OUTPUT_NEAR[0], 1.2 / (call.output_tokens + 1.0))
    return kind + (0 if output_apart <= exact else 1 if output_apart <= _OUTPUT_NEAR[1] else 2)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
