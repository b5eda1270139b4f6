"""The same call again and again."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Call, Detector, Scene, Score, span
from detectors.evidence import Evidence, bar_at_rate, waiting_nats
from detectors.likeness import FAR, UNLIKE, alike, nearest, telling
from detectors.rhythm import Rhythm
from detectors.row import Row, floats, halve, latest, scaled, zeros
from detectors.sizes import Sizes

# How often a call is like the suspect in each of twelve ways, and in none, of a loop and of honest work.
_LOOPING: Final = floats(
    *[i * o for i in (0.35, 0.17, 0.09, 0.06) for o in (0.45, 0.4, 0.15)],
    0.33,
)
_HONEST: Final[tuple[float, ...]] = (
    *(0.008, 0.012, 0.02),
    *(0.007, 0.017, 0.035),
    *(0.012, 0.032, 0.06),
    *(0.025, 0.08, 0.16),
    0.532,
)


class LoopMemory(Evidence):
    """The sizes of the latest calls (logarithms), the suspect among them, and how often calls are like it.

    A `partner` takes turns with the suspect; `partners_turn` says that the suspect called last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = zeros(len(_HONEST))
        self.total = 0.0
        self.rhythm = Rhythm()
        self.inputs = zeros(0)
        self.outputs = zeros(0)
        self.input = 0.0
        self.output = 0.0
        self.partner_input = 0.0
        self.partner_output = 0.0
        self.partners_turn = False
        self.growth_tokens = 0
        self.next_tokens = 0
        self.run = ""
        self.same_run = 0
        self.hour = 0
        self.hour_calls = 0
        self.hours = 1.0
        self.hourly = 10.0
        self.answers = Sizes()

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.counts = row.reals(self.counts)
        self.total = row.real(self.total)
        self.rhythm.carry(row)
        self.inputs = row.reals(self.inputs)
        self.outputs = row.reals(self.outputs)
        super().carry(row)
        self.input = row.real(self.input)
        self.output = row.real(self.output)
        self.partner_input = row.real(self.partner_input)
        self.partner_output = row.real(self.partner_output)
        self.partners_turn = row.flag(self.partners_turn)
        self.growth_tokens = row.whole(self.growth_tokens)
        self.next_tokens = row.whole(self.next_tokens)
        self.run = row.text(self.run)
        self.same_run = row.whole(self.same_run)
        self.hour = row.whole(self.hour)
        self.hour_calls = row.whole(self.hour_calls)
        self.hours = row.real(self.hours)
        self.hourly = row.real(self.hourly)
        self.answers.carry(row)

    def tally(self, now_s: float) -> None:
        """Count the call in its hour; an hour that is over tells how many calls are usual while active."""
        hour = int(now_s / 3600.0)
        if hour != self.hour:
            if self.hour and self.hour_calls:
                self.hours = min(self.hours + 1.0, 72.0)
                self.hourly += (min(self.hour_calls, 2.0 * self.hourly + 5.0) - self.hourly) / self.hours
            self.hour, self.hour_calls = hour, 0
        self.hour_calls += 1

    def varied(self) -> float:
        """Return the share of honest calls that aren't near the suspect."""
        far = 0.0
        for i in range(FAR, len(self.counts)):
            far += self.counts[i]
        return far / self.total

    def suspect(self, scene: Scene, growth_tokens: int) -> None:
        """Follow this call as the one that may repeat itself, each time `growth_tokens` larger.

        The one followed so far may be its partner: its turn is next.
        """
        self.partners_turn = self.nats > 0.0 and growth_tokens == 0
        self.partner_input = self.input if self.partners_turn else 0.0
        self.partner_output = self.output
        self.input, self.output = scene.log_input, scene.log_output
        self.growth_tokens, self.next_tokens = growth_tokens, scene.call.input_tokens + growth_tokens
        self.rhythm.begin(scene.call)
        self.run, self.same_run = scene.call.run, 0


@dataclass(frozen=True)
class Loop(Detector):
    """Catches an agent that repeats itself: calls of one size, over and over, also among honest ones.

    When a call resembles one of the latest few it becomes the suspect, and every further call is compared with it;
    the suspect may drift as long as each repeat resembles the one before. How often honest calls of this agent
    resemble a suspect is counted, so an agent that always sends the same template is none; regular gaps between
    the repeats add to the evidence, and a rate no higher than usual takes from it. Calls of two sizes that take turns
    count as well, so two agents of a tree that hand the same work back and forth are caught, since a tree is one agent
    here. Fooled by loops whose sizes vary like honest work, and for its first calls by a new agent that honestly
    repeats itself.

    `bar_nats`: evidence that justifies a kill; for an agent with fewer than 60 calls an hour it is lower by
    `bar_nats_per_log_rate` for each e-fold, down to `bar_nats_min`: few calls give chance few tries.
    `fade_s`: how long evidence lasts. `prior_calls`: what the usual frequencies are worth before the agent's own
    are known. `memory_calls`: how far back these reach. `berth`: how far above its own calm peaks an agent must go.
    `learn_below_nats`: above, a call doesn't teach. `calls_min`: repeats before it kills by itself.
    `high_days_per_1000`: in how many of 1,000 days honest agents come to seven tenths of the bar; where they do more
    often, the bar is higher.
    An answer of a size that this agent hardly ever gives, `odd_times` rarer than an average one, tells more each time:
    `odd_nats_max` at most, and no more than if honest calls were like the suspect in `odd_share_min` of all cases.
    """

    bar_nats: float = 21.5
    fade_s: float = 3600.0
    fade_calls: float = 20.0
    bar_nats_per_log_rate: float = 6.5
    bar_nats_min: float = 10.5
    prior_calls: float = 40.0
    memory_calls: float = 1000.0
    berth: float = 2.4
    bar_nats_max: float = 100.0
    learn_below_nats: float = 7.0
    compared: int = 6
    call_nats_max: float = 5.0
    forget: float = 0.04
    accumulating: float = 0.18
    calls_min: int = 5
    odd_nats_max: float = 2.0
    odd_times: float = 3.0
    odd_share_min: float = 0.015
    high_days_per_1000: float = 4.0

    def begin(self) -> LoopMemory:
        """Return a memory with no calls, and the usual frequencies."""
        memory = LoopMemory()
        memory.counts, memory.total = scaled(_HONEST, self.prior_calls), self.prior_calls
        return memory

    def step(self, memory: LoopMemory, scene: Scene) -> tuple[LoopMemory, Score]:
        """Compare the call with the suspect; failed calls are another detector's."""
        call = scene.call
        if call.failed:
            return memory, CALM
        scene.hourly_calls, scene.hour_calls = memory.hourly, memory.hour_calls
        learn = memory.nats < self.learn_below_nats and not scene.busy()
        foretold = log(memory.next_tokens + 1.0) if memory.growth_tokens else memory.input
        kind = alike(foretold, memory.output, scene)
        if memory.rhythm.overlaps(call):
            kind = UNLIKE
        nats = log(_LOOPING[kind] * memory.total / memory.counts[kind])
        paired = False
        if kind == UNLIKE:
            nats = min(nats, 0.0)  # An agent that seldom varies doesn't loop because it does so once.
            pair = alike(memory.partner_input, memory.partner_output, scene) if memory.partners_turn else UNLIKE
            if pair < FAR:
                paired, nats = True, self._pair(memory, scene, pair)
        if learn:
            self._learn(memory, kind, scene)
        if nats > 0.0:
            nats *= min(1.0, 3.0 * memory.varied())
        if kind != UNLIKE:
            if memory.partners_turn:
                memory.partner_input = 0.0  # Its turn passed without it.
            memory.partners_turn = memory.partner_input != 0.0
            nats = min(nats + self._repeat(memory, scene, learn), self._most(call, kind)) + self._oddity(memory, kind)
            if scene.accumulates():
                nats *= self.accumulating
        nats -= self.forget * memory.nats
        nats += waiting_nats(scene.gap_s, memory.hourly)
        memory.tally(call.now_s)
        fade_s = max(self.fade_s, self.fade_calls * 3600.0 / memory.hourly)
        total = memory.add(nats, call.now_s, fade_s)
        like, growth_tokens = nearest(memory.inputs, memory.outputs, scene)
        self._remember(memory, scene)
        if like < kind and not paired and (kind >= FAR or (growth_tokens and not memory.growth_tokens)):
            total = self._suspect(memory, scene, like, growth_tokens, fade_s)
        calls = max(memory.hourly, float(memory.hour_calls))
        base = bar_at_rate(self.bar_nats, self.bar_nats_per_log_rate, self.bar_nats_min, calls)
        value = total / memory.bar(base, self.berth, self.bar_nats_max)
        if memory.calls < self.calls_min:
            value = min(value, 0.9)
        return memory, CALM if value < SPEAK_FROM else self._say(memory, scene, value)

    def _suspect(self, memory: LoopMemory, scene: Scene, like: int, growth_tokens: int, fade_s: float) -> float:
        """Follow this call instead, if that it is like a recent one tells more than there is against the suspect."""
        # The likeness was looked for among all of the latest, so it is worth less than one that was foretold.
        nats = log(_LOOPING[like] * memory.total / (memory.counts[like] * float(len(memory.inputs))))
        nats = max(0.0, min(nats, self._most(scene.call, like)))
        if nats <= memory.nats and memory.nats > 0.0:
            if memory.partner_input == 0.0:
                memory.partner_input, memory.partner_output = scene.log_input, scene.log_output
            return memory.nats
        memory.suspect(scene, growth_tokens)
        memory.nats, memory.calls = 0.0, 0
        return memory.add(nats, scene.call.now_s, fade_s)

    def _most(self, call: Call, kind: int) -> float:
        return min(self.call_nats_max, telling(call, kind))

    def _pair(self, memory: LoopMemory, scene: Scene, kind: int) -> float:
        """Weigh a call like the suspect's partner, whose turn it is: by chance a call may be like either of two."""
        nats = log(_LOOPING[kind] * memory.total / (2.0 * memory.counts[kind]))
        memory.partners_turn = False
        memory.partner_input += 0.5 * (scene.log_input - memory.partner_input)
        memory.partner_output += 0.3 * (scene.log_output - memory.partner_output)
        return min(nats, self._most(scene.call, kind))

    def _repeat(self, memory: LoopMemory, scene: Scene, learn: bool) -> float:
        """Let the suspect follow its repeat, and weigh how regular the repeats are."""
        call = scene.call
        memory.input += 0.5 * (scene.log_input - memory.input)
        memory.next_tokens = call.input_tokens + memory.growth_tokens
        memory.output += 0.3 * (scene.log_output - memory.output)
        memory.same_run = memory.same_run + 1 if call.run and call.run == memory.run else 0
        memory.run = call.run
        return memory.rhythm.evenness(call, int(self.memory_calls), learn=learn)

    def _oddity(self, memory: LoopMemory, kind: int) -> float:
        """Return how many nats more it tells that the suspect's output is one that this agent hardly ever has."""
        rarer = memory.answers.typical / memory.answers.share(memory.output) / self.odd_times
        rarer = min(rarer, memory.counts[kind] / memory.total / self.odd_share_min)
        return min(self.odd_nats_max, log(rarer)) if rarer > 1.0 else 0.0

    def _learn(self, memory: LoopMemory, kind: int, scene: Scene) -> None:
        memory.answers.learn(scene.log_output)
        memory.counts[kind] += 1.0
        memory.total += 1.0
        if memory.total > self.memory_calls:
            halve(memory.counts)
            memory.total *= 0.5

    def _remember(self, memory: LoopMemory, scene: Scene) -> None:
        memory.inputs = latest(memory.inputs, scene.log_input, self.compared)
        memory.outputs = latest(memory.outputs, scene.log_output, self.compared)

    def _say(self, memory: LoopMemory, scene: Scene, value: float) -> Score:
        share = 1.0 - memory.counts[UNLIKE] / memory.total
        sizes = f"{exp(memory.input) - 1.0:,.0f} tokens in and {exp(memory.output) - 1.0:,.0f} out"
        lasted = span(scene.call.now_s - memory.since_s)
        reason = f"{memory.calls} calls in {lasted}, most of them about {sizes}; usually {share:.0%} repeat another"
        return Score(value, reason, "run" if memory.same_run >= 3 else "agent")
