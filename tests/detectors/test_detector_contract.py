"""What every detector promises, whichever it is."""

from collections.abc import Iterator
from dataclasses import fields
from math import log
from random import Random

import pytest
from calls import DAY_S, HOUR_S, START_S, call, honest, session

from detectors.contract import CALM, Call, Detector, RunTrack, Scene, Score, TreeTrack
from detectors.parameters import JudgeParameters
from detectors.registry import DETECTORS, describe
from detectors.row import pack, unpack
from detectors.surge import Surge

BY_CALL = JudgeParameters().by_call()
EACH = pytest.mark.parametrize("detector", list(BY_CALL.values()), ids=list(BY_CALL))


def scenes(calls: Iterator[Call] | list[Call]) -> Iterator[Scene]:
    """Yield each call's scene, following its run as the judge does."""
    runs: dict[str, RunTrack] = {}
    before_s = 0.0
    for n, each in enumerate(calls):
        run = runs.setdefault(each.run, RunTrack(each.now_s, each.now_s))
        sizes = log(each.input_tokens + 1), log(each.output_tokens + 1)
        yield Scene(each, run, n, 9 * DAY_S, each.now_s - before_s, *sizes, tree=TreeTrack() if n % 50 == 0 else None)
        run.calls += 1
        run.last_s, run.input_tokens = each.now_s, each.input_tokens
        before_s = each.now_s


def wild(seed: int, calls: int) -> list[Call]:
    random, now_s, made = Random(seed), START_S, []
    for _ in range(calls):
        now_s += random.choice([0.1, 2.0, 60.0, 4000.0]) * random.random()
        sizes = {"input_tokens": random.choice([10, 5000, 90_000]), "output_tokens": random.randrange(2000)}
        run, model = f"r{random.randrange(40)}", f"m{random.randrange(20)}"
        made.append(call(now_s, run=run, model=model, failed=random.random() < 0.2, **sizes))
    return made


def play(detector: Detector, calls: Iterator[Call] | list[Call]) -> list[Score]:
    memory, scores = detector.begin(), []
    for each in scenes(calls):
        memory, score = detector.step(memory, each)
        scores.append(score)
    return scores


@EACH
def test_the_first_call_ever_is_judged_before_it_is_learnt(detector: Detector) -> None:
    assert play(detector, [call(START_S)]) == [CALM]


@EACH
def test_the_same_calls_give_the_same_scores(detector: Detector) -> None:
    calls = wild(7, 800)

    assert play(detector, calls) == play(detector, calls)


@EACH
def test_a_memory_survives_the_way_through_bytes(detector: Detector) -> None:
    memory, kept = detector.begin(), detector.begin()
    for each, twin in zip(scenes(wild(11, 600)), scenes(wild(11, 600)), strict=True):
        kept = unpack(type(kept)(), pack(kept))
        memory, score = detector.step(memory, each)
        kept, again = detector.step(kept, twin)
        assert score == again
        assert kept == memory


@EACH
def test_a_memory_stays_small(detector: Detector) -> None:
    memory = detector.begin()
    for each in scenes(wild(3, 5000)):
        memory, _ = detector.step(memory, each)

    assert len(pack(memory)) < 500


@EACH
def test_calm_days_end_without_a_kill(detector: Detector) -> None:
    calls = list(honest(START_S, 96))

    assert max(score.value for score in play(detector, calls)) < 1.0


@EACH
def test_honest_sessions_end_without_a_kill(detector: Detector) -> None:
    calls = [c for n in range(12) for c in session(START_S + n * 3 * HOUR_S, 60, seed=n)]

    assert max(score.value for score in play(detector, calls)) < 1.0


@pytest.mark.parametrize("times", [3, 10, 100])
def test_dearer_calls_are_never_less_of_a_surge(times: int) -> None:
    usual, burst = list(honest(START_S, 72)), [START_S + 73 * HOUR_S + 2.0 * n for n in range(60)]
    cheap = play(Surge(), usual + [call(at_s) for at_s in burst])
    dear = play(Surge(), usual + [call(at_s, input_tokens=2000 * times, output_tokens=200 * times) for at_s in burst])

    assert max(s.value for s in dear) >= max(s.value for s in cheap)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_says_what_it_catches_what_fools_it_and_its_parameters(name: str) -> None:
    text = " ".join(describe(name).split())

    assert "atches" in text
    assert "ooled by" in text or name == "run_ceiling"
    assert all(f"`{parameter}`" in text for parameter in (field.name for field in fields(DETECTORS[name])))
