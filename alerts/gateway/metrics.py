"""What a gateway tells Prometheus; each metric with its meaning."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .guard import Guard
from .health import Health
from .identity import Answer

CHECK_BUCKETS_S = (2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2)


class Checks:
    """Counts checks of one adapter, in a registry of its own."""

    def __init__(self, adapter: str) -> None:
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"registry": self.registry}
        self._checks = Counter(
            "brakeline_gateway_checks_total",
            "Calls asked about, by what was answered.",
            ["adapter", "answer"],
            **common,
        )
        self._seconds = Histogram(
            "brakeline_gateway_check_seconds",
            "Time to answer one call.",
            ["adapter"],
            buckets=CHECK_BUCKETS_S,
            **common,
        )
        self._health = Gauge("brakeline_gateway_state", "1 for the state that the gateway is in.", ["state"], **common)
        self._age = Gauge(
            "brakeline_gateway_heartbeat_age_seconds", "Since the commander was last heard; -1 before.", **common
        )
        self._active = Gauge("brakeline_gateway_commands_in_force", "Scopes with a command in force.", **common)
        self._held = Gauge("brakeline_gateway_book_bytes", "Size of all commands that are kept.", **common)
        self._alarms = Gauge(
            "brakeline_gateway_refused_records", "Records of the kill topic that were not believed.", **common
        )
        self._adapter = adapter

    def note(self, answer: Answer, seconds: float) -> None:
        """Count one answer."""
        self._checks.labels(self._adapter, "allowed" if answer.denial is None else str(answer.denial)).inc()
        self._seconds.labels(self._adapter).observe(seconds)

    def render(self, guard: Guard, now_s: float) -> bytes:
        """Return the exposition."""
        health = guard.health(now_s)
        for each in Health:
            self._health.labels(str(each)).set(each is health)
        age_s = guard.watch.heartbeat_age_s(now_s)
        self._age.set(-1 if age_s == float("inf") else age_s)
        self._active.set(len(guard.book.active))
        self._held.set(guard.book.size_bytes)
        self._alarms.set(guard.watch.alarms)
        return generate_latest(self.registry)
