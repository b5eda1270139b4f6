"""Calls that are much alike, though none is the same, at an even pace."""

from dataclasses import dataclass
from math import exp, log
from typing import Final

from librt.vecs import vec
from mypy_extensions import i16

from detectors.contract import CALM, SPEAK_FROM, Detector, Scene, Score, Watches, counted
from detectors.evidence import Evidence
from detectors.row import Row, bucket, floats

# Distances of logarithms, to the call that was followed so far.
_INPUTS: Final = floats(0.02, 0.05, 0.1)
_OUTPUTS: Final = floats(0.1, 0.3, 0.8)
_LOOP_SHARE: Final = 0.6
_LOOPING: Final = floats(
    *[_LOOP_SHARE * i * o for i in (0.5, 0.3, 0.2) for o in (0.45, 0.4, 0.15)],
    1.0 - _LOOP_SHARE,
)
_HONEST: Final = floats(0.02, 0.03, 0.04, 0.02, 0.04, 0.05, 0.02, 0.05, 0.07, 0.66)
UNLIKE: Final = 9
# Ratios (logarithms) of a gap to the one before it.
_EVEN: Final = floats(0.3, 0.8)
_EVEN_LOOPING: Final = floats(0.62, 0.26, 0.12)
_EVEN_HONEST: Final = floats(0.17, 0.25, 0.58)
_GAPS_PRIOR: Final = 10.0
_UNDER_WAY_S: Final = 2.0


class EchoMemory(Evidence):
    """The call that is followed, and how often honest calls are like it in each way, and gaps as even."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = vec[i16]([0] * len(_HONEST))
        self.seen = 0
        self.gaps = vec[i16]([0] * len(_EVEN_HONEST))
        self.gaps_seen = 0
        self.input = 0.0
        self.output = 0.0
        self.began_s = 0.0
        self.ended_s = 0.0
        self.gap_s = 0.0

    def carry(self, row: Row) -> None:
        """Name the fields; what was seen is the sum of the counts."""
        self.seen = _carried(row, self.counts)
        self.gaps_seen = _carried(row, self.gaps)
        super().carry(row)
        self.input = row.real(self.input)
        self.output = row.real(self.output)
        self.began_s = row.real(self.began_s)
        self.ended_s = row.real(self.ended_s)
        self.gap_s = row.real(self.gap_s)

    def follow(self, scene: Scene, began_s: float) -> None:
        """Compare the next calls with this one."""
        self.input, self.output = scene.log_input, scene.log_output
        self.began_s, self.ended_s, self.gap_s = began_s, scene.call.at_s, 0.0


@dataclass(frozen=True)
class Echo(Detector):
    """Catches a loop whose sizes vary: calls much alike, and more evenly spaced than honest ones, also among those.

    Each call is compared with the one that is followed, which moves with those that are like it (inputs within a
    tenth). How often honest calls of this agent are alike, and how even their gaps are, is counted, so an agent
    that fills in one template all day, on a timer, is none. Inputs that take in the answers before them hardly
    count, nor do calls that were under way at once, and how much a likeness may tell follows from the tokens: few are
    alike by chance. Slower than `loop`, but it needs no two sizes to be the same. How many calls an hour are usual it
    is told by `loop`. Fooled by work that is new to this agent, comes one item at a time, and is all of one size.

    `loop_share`: which part of the calls is the loop's, if it is one. The rest as in `loop`.
    """

    bar_nats: float = 19.0
    fade_s: float = 3600.0
    fade_calls: float = 20.0
    bar_nats_per_log_rate: float = 5.0
    bar_nats_min: float = 10.5
    prior_calls: float = 40.0
    count_max: int = 600
    berth: float = 2.2
    bar_nats_max: float = 100.0
    learn_below_nats: float = 7.0
    call_nats_max: float = 4.0
    forget: float = 0.04
    accumulating: float = 0.18
    varied_share_max: float = 0.5
    calls_min: int = 5
    high_days_per_1000: float = 0.0

    def begin(self) -> EchoMemory:
        """Return a memory of no calls."""
        return EchoMemory()

    def step(self, memory: EchoMemory, scene: Scene) -> tuple[EchoMemory, Score]:
        """Compare the call with the one that is followed; failed calls are another detector's."""
        call = scene.call
        if call.failed:
            return memory, CALM
        learn = memory.nats < self.learn_below_nats and scene.hour_calls < 1.5 * scene.hourly_calls + 3.0
        began_s = call.at_s - min(_UNDER_WAY_S, 0.7 * call.latency_s)
        kind = _kind(memory, scene)
        if began_s < memory.ended_s and call.at_s > memory.began_s:
            kind = UNLIKE  # Both were under way at once: another caller, not a loop.
        total_calls = memory.seen + self.prior_calls
        unlike = (int(memory.counts[UNLIKE]) + self.prior_calls * _HONEST[UNLIKE]) / total_calls
        nats = log(_LOOPING[kind] * total_calls / (int(memory.counts[kind]) + self.prior_calls * _HONEST[kind]))
        if learn:
            memory.seen = _count(memory.counts, kind, memory.seen, self.count_max)
        if kind == UNLIKE:
            nats = min(nats, 0.0)
        else:
            nats = min(nats, _telling(scene, kind), self.call_nats_max) + self._evenness(memory, scene, began_s, learn)
            if nats > 0.0:
                nats *= min(1.0, unlike / self.varied_share_max)
                if scene.run.calls and call.input_tokens - scene.run.input_tokens >= 0.8 * call.output_tokens:
                    nats *= self.accumulating
            memory.input += 0.3 * (scene.log_input - memory.input)
            memory.output += 0.3 * (scene.log_output - memory.output)
            scene.run.echoes += 1
        nats -= self.forget * memory.nats
        nats += max(-0.6, min(0.0, 0.7 - scene.gap_s * scene.hourly_calls / 1800.0))
        total = memory.add(nats, call.now_s, max(self.fade_s, self.fade_calls * 3600.0 / scene.hourly_calls))
        if total <= 0.0:
            memory.follow(scene, began_s)
        rarer = max(0.0, log(60.0 / (1.0 + max(scene.hourly_calls, scene.hour_calls))))
        base = max(self.bar_nats_min, self.bar_nats - self.bar_nats_per_log_rate * rarer)
        value = total / memory.bar(base, self.berth, self.bar_nats_max)
        if memory.calls < self.calls_min:
            value = min(value, 0.9)
        return memory, CALM if value < SPEAK_FROM else self._say(memory, scene, value, unlike)

    def _evenness(self, memory: EchoMemory, scene: Scene, began_s: float, learn: bool) -> float:
        """Weigh how like the gap before it this one is."""
        gap_s, before_s = scene.call.at_s - memory.ended_s, memory.gap_s
        if gap_s <= 0.0:
            return 0.0  # It was overtaken on its way.
        memory.began_s, memory.ended_s, memory.gap_s = began_s, scene.call.at_s, gap_s
        if before_s <= 0.0:
            return 0.0
        kind = bucket(_EVEN, abs(log(gap_s / before_s)))
        share = (int(memory.gaps[kind]) + _GAPS_PRIOR * _EVEN_HONEST[kind]) / (memory.gaps_seen + _GAPS_PRIOR)
        if learn:
            memory.gaps_seen = _count(memory.gaps, kind, memory.gaps_seen, self.count_max)
        return log(_EVEN_LOOPING[kind] / share)

    def _say(self, memory: EchoMemory, scene: Scene, value: float, unlike: float) -> Score:
        span_s = max(1.0, scene.call.now_s - memory.since_s)
        reason = (
            "{:.0f} calls in {:.0f} min, most of them much alike (about {:,.0f} tokens in) and evenly spaced; "
            "usually {:.0%} are as much alike"
        )
        blame: Watches = "run" if scene.run.echoes >= 3 and 2 * scene.run.echoes >= memory.calls else "agent"
        return counted(
            value, reason, blame, float(memory.calls), span_s / 60.0, exp(memory.input) - 1.0, 1.0 - unlike
        )


def _kind(memory: EchoMemory, scene: Scene) -> int:
    apart_in = bucket(_INPUTS, abs(scene.log_input - memory.input))
    apart_out = bucket(_OUTPUTS, abs(scene.log_output - memory.output))
    return UNLIKE if apart_in == len(_INPUTS) or apart_out == len(_OUTPUTS) else 3 * apart_in + apart_out


def _telling(scene: Scene, kind: int) -> float:
    call = scene.call
    width, height = _INPUTS[kind // 3], _OUTPUTS[kind % 3]
    grains = 0.15 / max(width, 1.2 / (call.input_tokens + 1.0))
    return 0.8 * log(1.0 + grains * 0.35 / max(height, 1.2 / (call.output_tokens + 1.0)))


def _carried(row: Row, counts: "vec[i16]") -> int:
    total = 0
    for i in range(len(counts)):
        count = row.whole(int(counts[i]))
        counts[i] = count
        total += count
    return total


def _count(counts: "vec[i16]", kind: int, seen: int, most: int) -> int:
    """Count one more of a kind; once that is full, all are halved, so that the past weighs less."""
    if int(counts[kind]) >= most:
        seen = 0
        for i in range(len(counts)):
            counts[i] >>= 1
            seen += int(counts[i])
    counts[kind] += 1
    return seen + 1
