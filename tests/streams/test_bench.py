"""Measurements: the shape of their figures, not the times."""

from collections import Counter
from itertools import islice

import msgspec
import pytest
from msgspec.structs import astuple

from streams.bench import gateways
from streams.bench.figures import percentile, show, spread
from streams.bench.load import calm, lines
from streams.bench.memory import memory
from streams.bench.obey import obey
from streams.bench.stopwatch import Stopwatch
from streams.event import Event
from streams.events import TokenEvent, decode
from streams.validation import Validator


def test_percentiles_are_samples() -> None:
    samples = [float(number) for number in range(1, 201)]

    assert (percentile(samples, 0.5), percentile(samples, 0.99), percentile(samples, 1.0)) == (100.0, 198.0, 200.0)


def test_spread_is_in_milliseconds() -> None:
    assert spread([0.01, 0.02, 0.03]) == {"n": 3, "p50_ms": 20.0, "p99_ms": 30.0, "max_ms": 30.0}


def test_the_load_is_valid_and_the_same_each_time() -> None:
    first = list(lines(500, 20, 1_767_603_600.0, 100.0))
    events = [event for line in first for event in decode(line)]

    assert first == list(lines(500, 20, 1_767_603_600.0, 100.0))
    assert all(isinstance(e, TokenEvent) and Validator().check(Event(astuple(e)), e.ts) is None for e in events)


def test_the_load_is_spread_over_all_agents() -> None:
    agents = Counter(agent for agent, _ in islice(calm(10), 1000))

    assert len(agents) == 10
    assert max(agents.values()) < 3 * min(agents.values())


def test_memory_says_what_an_agent_takes() -> None:
    figures = memory(agents=2000)

    assert figures.keys() >= {"agents", "rss_mb", "bytes_per_agent", "row_bytes"}
    assert 100 < figures["row_bytes"] < 4096


def test_a_stopwatch_counts_from_the_first_events_on() -> None:
    watch = Stopwatch(10)

    assert [watch.count(5) for _ in range(3)] == [False, False, True]
    assert watch.figures()["events"] == 10


def test_figures_are_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    show({"n": 1}, as_json=True)

    assert msgspec.json.decode(capsys.readouterr().out) == {"n": 1}


@pytest.mark.kafka
def test_obey_times_kills_at_each_adapter_and_says_what_is_left_out(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: gateways.OPENERS[name] for name in ("guard", "httpx", "sidecar")}
    absent = (few["guard"][0], lambda: "envoy is not installed")
    monkeypatch.setattr("streams.bench.obey.OPENERS", {**few, "envoy": absent})

    figures = obey(kafka, kills=3)

    assert figures.pop("envoy") == {"left_out": "envoy is not installed"}
    assert {name: found["n"] for name, found in figures.items()} == {"guard": 3, "httpx": 3, "sidecar": 3}
    assert all(0 < found["p50_ms"] <= found["p99_ms"] for found in figures.values())
