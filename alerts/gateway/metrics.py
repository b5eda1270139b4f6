"""What a gateway tells Prometheus; each metric with its meaning."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .budget import Budget
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
        self._limits = LimitMetrics()
        self.registry.register(self._limits)

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
        self._limits.budget = guard.budget
        return generate_latest(self.registry)


class LimitMetrics(Collector):
    """What the limits have reserved, refused and shared."""

    budget: Budget | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield what is to be told of the budget."""
        budget = self.budget
        if budget is None:
            return
        refused = CounterMetricFamily(
            "brakeline_gateway_limit_refusals", "Calls refused because a limit would be passed.", labels=["limit"]
        )
        for limit, calls in budget.refused.items():
            refused.add_metric([limit], calls)
        yield refused
        yield CounterMetricFamily(
            "brakeline_gateway_reservations", "Calls that reserved from limits.", value=budget.reserved
        )
        yield CounterMetricFamily(
            "brakeline_gateway_settlements", "Of those, settled with what they took.", value=budget.settled
        )
        shares, accounts = budget.shares, budget.ceilings
        usual = -1.0 if shares is None else shares.usual
        named = 0 if shares is None else sum(map(len, shares.shares.values()))
        for name, what, value in (
            ("share", "Usual part of each limit that this gateway may use; -1 before it has one.", usual),
            ("shares_named", "Limits of single scopes with a share of their own.", named),
            ("open_calls", "Calls that hold reservations: under way, or never settled.", budget.open_calls),
            ("scopes", "Scopes that are counted.", len(accounts)),
            ("scopes_forgotten", "Scopes forgotten for want of room while they counted.", accounts.forgotten),
        ):
            yield GaugeMetricFamily(f"brakeline_gateway_limit_{name}", what, value=value)
