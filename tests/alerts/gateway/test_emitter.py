"""Reporting never holds up a call: with Kafka away events wait in bounded memory, and what is lost is counted."""

import time

from prometheus_client import REGISTRY

from alerts.gateway.emitter import Emitter
from alerts.gateway.events import Event

NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}


def event() -> Event:
    return Event(event_id="1", ts=1.0, agent="a", model="m", input_tokens=1, output_tokens=1)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("brakeline_gateway_events_total", {"outcome": outcome}) or 0.0


def test_without_kafka_a_call_is_not_held_up_and_each_event_that_is_lost_is_counted() -> None:
    emitter, dropped = Emitter(NOWHERE, "events", waiting_max=100), counted("dropped")
    began_s = time.perf_counter()
    for _ in range(1_000):
        emitter.put(event)
    assert time.perf_counter() - began_s < 0.5
    emitter.close(timeout_s=0.3)
    assert counted("dropped") - dropped == 1_000


def test_a_call_that_cannot_be_read_is_counted_and_costs_no_other() -> None:
    emitter, failed, dropped = Emitter(NOWHERE, "events"), counted("failed"), counted("dropped")
    emitter.put(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    emitter.put(event)
    emitter.put(lambda: None)
    emitter.close(timeout_s=0.3)
    assert (counted("failed") - failed, counted("dropped") - dropped) == (1, 1)


def test_one_that_was_never_used_closes_at_once() -> None:
    Emitter(NOWHERE, "events").close()
