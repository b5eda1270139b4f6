"""Calls that are much alike, though none is the same, at an even pace."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score, Watches, span
from detectors.evidence import Evidence, bar_at_rate, waiting_nats
from detectors.likeness import telling_at
from detectors.rhythm import Rhythm
from detectors.row import Row, bucket, floats
from detectors.shares import Shares

# Distances of logarithms, to the call that was followed so far.
_INPUTS: Final = floats(0.02, 0.05, 0.1)
_OUTPUTS: Final = floats(0.1, 0.3, 0.8)
# A loop among honest calls makes six of ten.
_LOOPING: Final = floats(*[0.6 * i * o for i in (0.5, 0.3, 0.2) for o in (0.45, 0.4, 0.15)], 0.4)
_HONEST: Final = floats(0.02, 0.03, 0.04, 0.02, 0.04, 0.05, 0.02, 0.05, 0.07, 0.66)
_UNLIKE: Final = 9
_RUN_ECHOES: Final = 3


class EchoMemory(Evidence):
    """The call that is followed, in how many ways honest calls are like it, and how even their gaps are."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = Shares(len(_HONEST))
        self.rhythm = Rhythm()
        self.input = 0.0
        self.output = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields."""
        self.ways.carry(row)
        self.rhythm.carry(row)
        super().carry(row)
        self.input = row.real(self.input)
        self.output = row.real(self.output)

    def way(self, scene: Scene) -> int:
        """Return in which of nine ways the call is like the one that is followed, or `_UNLIKE`."""
        if self.rhythm.overlaps(scene.call):
            return _UNLIKE
        inputs = bucket(_INPUTS, abs(scene.log_input - self.input))
        outputs = bucket(_OUTPUTS, abs(scene.log_output - self.output))
        return _UNLIKE if inputs == len(_INPUTS) or outputs == len(_OUTPUTS) else 3 * inputs + outputs

    def drift(self, scene: Scene) -> None:
        """Let what is followed move with a call that is like it."""
        self.input += 0.3 * (scene.log_input - self.input)
        self.output += 0.3 * (scene.log_output - self.output)

    def follow(self, scene: Scene) -> None:
        """Compare the next calls with this one."""
        self.input, self.output = scene.log_input, scene.log_output
        self.rhythm.begin(scene.call)


@dataclass(frozen=True)
class Echo(Detector):
    """Catches a loop whose sizes vary: calls much alike, and more evenly spaced than honest ones, also among those.

    Each call is compared with the one that is followed, which moves with those that are like it (inputs within a
    tenth). How often honest calls of this agent are alike, and how even their gaps are, is counted, so an agent
    that fills in one template all day, on a timer, is none. Inputs that take in the answers before them hardly
    count, calls that were under way at once don't, and how much a likeness may tell follows from the tokens: few are
    alike by chance. Slower than `loop`, which tells it how many calls an hour are usual, but no two sizes need be the
    same. Fooled by work that is new to this agent, comes one item at a time, and is all of about one size.

    `varied_share_max`: an agent whose calls are less often unlike one another than that is believed less.
    `young_calls`: an agent that has learnt fewer is believed less, as its habit may be one template.
    `count_max`: how far back its habits reach, in calls of one kind (32,767 at most). The rest as in `loop`.
    """

    bar_nats: float = 21.5
    fade_s: float = 3600.0
    fade_calls: float = 20.0
    bar_nats_per_log_rate: float = 6.5
    bar_nats_min: float = 11.0
    prior_calls: float = 40.0
    count_max: int = 600
    berth: float = 2.4
    bar_nats_max: float = 100.0
    learn_below_nats: float = 7.0
    call_nats_max: float = 4.0
    forget: float = 0.04
    accumulating: float = 0.18
    varied_share_max: float = 0.5
    young_calls: float = 40.0
    calls_min: int = 5
    high_days_per_1000: float = 2.5

    def begin(self) -> EchoMemory:
        """Return a memory of no calls."""
        return EchoMemory()

    def step(self, memory: EchoMemory, scene: Scene) -> tuple[EchoMemory, Score]:
        """Compare the call with the one that is followed; failed calls are another detector's."""
        call, hourly = scene.call, scene.hourly_calls
        if call.failed:
            return memory, CALM
        unlike = memory.ways.share(_UNLIKE, _HONEST, self.prior_calls)
        nats = self._weigh(memory, scene, unlike) - self.forget * memory.nats
        nats += waiting_nats(scene.gap_s, hourly)
        total = memory.add(nats, call.now_s, max(self.fade_s, self.fade_calls * 3600.0 / hourly))
        if total <= 0.0:
            memory.follow(scene)
            return memory, CALM
        calls = max(hourly, float(scene.hour_calls))
        base = bar_at_rate(self.bar_nats, self.bar_nats_per_log_rate, self.bar_nats_min, calls)
        value = total / memory.bar(base, self.berth, self.bar_nats_max)
        if memory.calls < self.calls_min:
            value = min(value, 0.9)
        return memory, CALM if value < SPEAK_FROM else _say(memory, scene, value, unlike)

    def _weigh(self, memory: EchoMemory, scene: Scene, unlike: float) -> float:
        """Weigh how like the one that is followed the call is, and how even the gap before it."""
        call, way = scene.call, memory.way(scene)
        learn = memory.nats < self.learn_below_nats and not scene.busy()
        nats = log(_LOOPING[way] / memory.ways.share(way, _HONEST, self.prior_calls))
        if learn:
            memory.ways.count(way, self.count_max)
        if way == _UNLIKE:
            return min(nats, 0.0)
        nats = min(nats, telling_at(call, _INPUTS[way // 3], _OUTPUTS[way % 3]), self.call_nats_max)
        nats += memory.rhythm.evenness(call, self.count_max, learn=learn)
        if nats > 0.0:
            nats *= min(1.0, unlike / self.varied_share_max, memory.ways.seen / self.young_calls)
            if scene.accumulates():
                nats *= self.accumulating
        memory.drift(scene)
        scene.run.echoes += 1
        return nats


def _say(memory: EchoMemory, scene: Scene, value: float, unlike: float) -> Score:
    reason = (
        f"{memory.calls} calls in {span(scene.call.now_s - memory.since_s)}, most of them much alike (about "
        f"{exp(memory.input) - 1.0:,.0f} tokens in) and evenly spaced; usually {1.0 - unlike:.0%} are as much alike"
    )
    echoes = scene.run.echoes
    blame: Watches = "run" if echoes >= _RUN_ECHOES and 2 * echoes >= memory.calls else "agent"
    return Score(value, reason, blame)
