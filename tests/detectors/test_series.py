import math
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.series import Series, SeriesMemory, SeriesParameters
from detectors.series_novelty import Rarity, surprise

STEP_S = 300.0


def likelihoods(values: list[float], series: Series | None = None) -> list[float]:
    series = series or Series()
    return [series.step(index * STEP_S, value) for index, value in enumerate(values)]


def noise(count: int, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [100.0 + source.gauss(0.0, 2.0) for _ in range(count)]


def test_is_deterministic() -> None:
    assert likelihoods(noise(500)) == likelihoods(noise(500))


def test_a_constant_series_never_alarms() -> None:
    assert likelihoods([7.0] * 1000) == [0.0] * 1000


def test_says_nothing_while_it_warms_up() -> None:
    assert max(likelihoods([*noise(30), 1e9, *noise(19)])) == 0.0


def spiked(values: list[float]) -> list[float]:
    return [value + (60.0 if index == 1500 else 0.0) for index, value in enumerate(values)]


def shifted(values: list[float]) -> list[float]:
    return [value + (30.0 if index >= 1500 else 0.0) for index, value in enumerate(values)]


def dropped(values: list[float]) -> list[float]:
    return [value - (30.0 if index >= 1500 else 0.0) for index, value in enumerate(values)]


@pytest.mark.parametrize("change", [spiked, shifted, dropped])
@pytest.mark.parametrize("seed", range(5))
def test_a_spike_or_a_level_shift_ranks_first(change: Callable[[list[float]], list[float]], seed: int) -> None:
    scores = likelihoods(change(noise(2000, seed)))

    assert 1500 <= scores.index(max(scores)) <= 1502


def test_a_changed_frequency_ranks_first() -> None:
    waves = [math.sin(index * math.tau / (48 if index < 3000 else 7)) * 10.0 for index in range(3400)]
    jittered = [wave + (each - 100.0) * 0.05 for wave, each in zip(waves, noise(3400), strict=True)]
    scores = likelihoods(jittered)

    assert 3000 <= scores.index(max(scores[200:])) <= 3100


def test_one_lasting_shift_gives_few_alarms() -> None:
    scores = likelihoods(shifted(noise(2000)))

    assert sum(score > 0.999 for score in scores[1500:]) <= 3


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_series_hardly_matters(factor: float) -> None:
    scores = likelihoods([value * factor for value in spiked(noise(2000))])

    assert scores.index(max(scores)) == 1500


def test_memory_is_bounded() -> None:
    series = Series(SeriesParameters(known_max=256))
    likelihoods(noise(2000), series)
    early = len(msgspec.msgpack.encode(series.memory))
    likelihoods(noise(8000, seed=2), series)

    assert all(len(view.known) <= 256 for view in series.memory.views)
    assert len(msgspec.msgpack.encode(series.memory)) < early * 1.5


def test_a_snapshot_goes_on_where_the_series_stood() -> None:
    values = spiked(noise(1600))
    series = Series()
    likelihoods(values[:1200], series)
    kept = msgspec.msgpack.encode(series.memory)
    restored = Series(memory=msgspec.msgpack.decode(kept, type=SeriesMemory))

    assert likelihoods(values[1200:], restored) == likelihoods(values[1200:], series)


def test_a_value_that_is_not_finite_is_skipped_and_not_learned() -> None:
    series = Series()
    likelihoods(noise(100), series)
    before = msgspec.msgpack.encode(series.memory)

    assert [series.step(0.0, value) for value in (math.nan, math.inf, -math.inf)] == [0.0, 0.0, 0.0]
    assert msgspec.msgpack.encode(series.memory) == before


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=150))
def test_a_likelihood_is_always_between_0_and_1(values: list[float]) -> None:
    assert all(0.0 <= score <= 1.0 for score in likelihoods(values, Series(SeriesParameters(warmup_steps=5))))


def test_a_surprise_is_a_number_after_a_distance_of_almost_nothing() -> None:
    rarity = Rarity()

    surprises = [surprise(rarity, distance, 4, 2.0) for distance in (3e-309, 1.0, 1.0, 1.0, 2.0)]
    assert all(math.isfinite(each) for each in surprises)
