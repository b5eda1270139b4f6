"""From what the detectors say of a scope to one verdict."""

from dataclasses import dataclass
from math import inf
from typing import Final

from detectors.contract import Score

SPEAK_AT: Final = 0.5
STEEP: Final = 5.0
"""Seven eighths of the evidence is worth saying, eleven twelfths an alert of what can kill: it will be sure soon, or
never. Fifteen sixteenths are worth a hold."""

ALONE_FROM: Final = SPEAK_AT ** (1.0 / STEEP)
_TEMPO: Final = "tempo"
_PACE: Final[tuple[str, ...]] = (_TEMPO, "surge")
_TEMPO_MOST: Final = 0.65
_STEPS: Final[tuple[str, ...]] = ("stall", "snowball")
_SAME: Final[tuple[str, ...]] = ("loop", "echo")
_SAME_BESIDE: Final = 0.3
_DRIFT: Final = "drift"
_BACKING: Final[tuple[str, ...]] = (*_PACE, _DRIFT)
_CEILINGS: Final[tuple[str, ...]] = ("ceiling", "run_ceiling")


@dataclass(frozen=True)
class Verdict:
    """What the judge says of a scope: 1 justifies a kill, 0.7 a hold, 0.65 an alert; 0.5 if that is all it may.

    `sure`: a hard ceiling of the customer's was passed, so no floor or further sample is needed.
    """

    scope: str
    detector: str
    value: float
    alert_only: bool
    reason: str
    says: dict[str, float]
    window_start_s: float
    run: str = ""
    seen_usd_per_min: float = 0.0
    usual_usd_per_min: float = 0.0
    sure: bool = False


class Weighed:
    """The combined value, and which detector speaks for it. Made often, so no frozen dataclass, which takes long."""

    def __init__(
        self, value: float, detector: str, score: Score, *, alert_only: bool = False, sure: bool = False
    ) -> None:
        self.value = value
        self.detector = detector
        self.score = score
        self.alert_only = alert_only
        self.sure = sure


_CALM: Final = Weighed(0.0, "", Score(0.0, ""))


def _pace(says: dict[str, Score]) -> float:
    """Return the stronger of tempo and surge; tempo is never sure, as bursts of honest work are as fast."""
    tempo = min(_TEMPO_MOST, says[_TEMPO].value) if _TEMPO in says else 0.0
    return max(tempo, says["surge"].value if "surge" in says else 0.0)


def _all_low(says: dict[str, Score]) -> bool:
    """Tell whether none would be heard alone."""
    return all(score.value < ALONE_FROM and detector not in _CEILINGS for detector, score in says.items())


def heard_alone(detector: str, score: Score, bar: float) -> bool:
    """Tell whether what a single detector says may come to anything: `weigh` finds the same, but takes longer."""
    return score.value >= ALONE_FROM and (detector != _TEMPO or bar * ALONE_FROM <= _TEMPO_MOST)


def _sum(says: dict[str, Score]) -> float:
    total = 0.0
    for score in says.values():
        total += score.value
    return total


def weigh(says: dict[str, Score], together: float, bar: float) -> Weighed:
    """Combine what several detectors say of one call.

    A mark of its own kind (a loop, a snowball, ...) can justify a kill. Tempo and surge are two views of one
    thing, pace: the stronger counts, less beside a mark than alone; stall and snowball both look at the steps of a
    run, so the stronger counts too. Loop and echo know a repetition by other marks, but by some of the same: the
    weaker counts for three tenths. Drift only warns, and backs the others. The sum is a power mean, so two halves make
    less than one whole; `bar` raises what a kill takes.
    """
    if len(says) == 1 and _all_low(says):
        return _CALM
    for detector in _CEILINGS:
        if detector in says:
            return Weighed(max(1.0, says[detector].value), detector, says[detector], sure=True)
    # No mean of several is above their sum, so most voices needn't be weighed at all.
    if together >= 1.0 and _sum(says) < 0.999 * ALONE_FROM * min(1.0, bar):
        return _CALM
    pace = _pace(says)
    drift = says[_DRIFT].value if _DRIFT in says else 0.0
    marked, step, same, alike, others = False, 0.0, 0.0, 0.0, 0.0
    for name, score in says.items():
        if name in _STEPS:
            marked, step = True, max(step, score.value)
        elif name in _SAME:
            marked, same, alike = True, max(same, score.value), alike + score.value
        elif name not in _BACKING:
            marked, others = True, others + score.value**together
    kill = pace
    if marked:
        same += _SAME_BESIDE * (alike - same)
        total = step**together + same**together + others + (0.4 * pace) ** together + (0.5 * drift) ** together
        kill = max(pace, total ** (1.0 / together))
    kill /= bar
    if drift > kill:
        return Weighed(drift**STEEP, _DRIFT, says[_DRIFT], alert_only=True)
    speaks = ""
    for name, score in says.items():
        if name != _DRIFT and (not speaks or score.value > says[speaks].value):
            speaks = name
    return Weighed(min(kill**STEEP, inf), speaks, says[speaks])
