"""Every metric of the service, declared once with its meaning and what to do when it looks wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from streams.effects import Counts

TEAMS_MAX = 200
OTHER = "other"
_KILL_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCH_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(frozen=True)
class Declaration:
    """A metric as its documentation shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    remedy: str


class Metrics:
    """The service's metrics in a registry of its own. Labels are bounded: a team beyond the first 200 is `other`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.declared: list[Declaration] = []
        self._teams: set[str] = set()
        self._declare_books()
        self._declare_progress()
        self._declare_judgement()
        self._declare_obedience()
        self._declare_people()

    def _declare_books(self) -> None:
        self.consumed = self._counter(
            "events_consumed", "Events read from Kafka.", "Standing still while events are produced: see the lag."
        )
        self.accepted = self._counter("events_accepted", "Events judged.", "Consumed = accepted + the next three.")
        self.duplicate = self._counter(
            "events_duplicate", "Events dropped because their id was seen before.", "Many: a producer sends twice."
        )
        self.late = self._counter(
            "events_late", "Events too late to be judged; counted as spend.", "Many: look at the producer's buffering."
        )
        self.quarantined = self._counter(
            "events_quarantined",
            "Events that could not be used, by reason.",
            "Read the quarantine topic: each record says field and mend.",
            "reason",
        )
        self.dedup_overflow = self._counter(
            "dedup_overflow",
            "Event ids forgotten before their time was up: a duplicate of them would count twice.",
            "More distinct events a partition than planned for: add partitions.",
        )
        self.agents_overflow = self._counter(
            "agents_overflow",
            "Events of agents beyond the cap: counted, not judged.",
            "A producer that makes up agent names; put the changing part into run_id.",
        )
        self.unknown_price = self._counter(
            "unknown_price_events",
            "Events of models without a known price, counted at the ceiling price.",
            "Set prices.models in the settings; the log names each model once.",
        )
        self.unknown_models = self._gauge(
            "unknown_price_models", "Models without a known price since the start.", "As above."
        )
        self.spend_usd = self._counter("spend_usd", "Dollars spent, by the events.", "", "team")

    def _declare_progress(self) -> None:
        self.unwritten = self._gauge(
            "events_unwritten",
            "Events judged whose state isn't written yet; after a crash they are judged again.",
            "Many for long: state can't be written, see the log.",
        )
        self.lag = self._gauge(
            "consumer_lag_events",
            "Events that wait in Kafka, by partition.",
            "Rising: add workers, up to one a partition.",
            "topic",
            "partition",
        )
        self.watermark_delay_s = self._gauge(
            "watermark_delay_seconds",
            "How far judgement is behind the newest event, by partition.",
            "Rising with the lag: add workers. Without lag: the events arrive late.",
            "partition",
        )
        self.batch_s = self._histogram(
            "batch_seconds", "Time to judge and write out one batch.", "Slow: is the broker?", _BATCH_BUCKETS_S
        )
        self.clock_skew_s = self._gauge(
            "clock_skew_seconds",
            "Furthest that an event's clock ran ahead of the broker's in the last batch.",
            "Above a few seconds: set the producer's clock (NTP).",
        )
        self.reloaded_at_s = self._gauge(
            "config_last_reload_timestamp_seconds", "When the settings in force were read.", ""
        )
        self.reload_ok = self._gauge(
            "config_last_reload_successful",
            "1 if the settings file was good when it was read last; 0: the last good one stays in force.",
            "The log names file, line and mend; `brakeline validate` shows the same.",
        )
        self.restart_needed = self._gauge(
            "config_restart_needed",
            "Settings that the file says otherwise than the running service.",
            "Restart the workers one after the other; the log names the settings.",
        )
        self.armed = self._gauge("armed", "1 if runaways are stopped, 0 in shadow mode.", "Set mode in the settings.")

    def _declare_judgement(self) -> None:
        self.decisions = self._counter(
            "decisions", "Decisions taken, by action and mode.", "A burst: see the incidents.", "action", "mode"
        )
        self.event_to_kill_s = self._histogram(
            "event_to_kill_seconds",
            "From the event that tipped it (its append time) to the written kill command.",
            "Above a second: see lag and batch_seconds.",
            _KILL_BUCKETS_S,
        )
        self.kills_active = self._gauge("kills_active", "Kills in force, by kind of scope.", "", "kind")
        self.blast_held = self._counter(
            "blast_radius_held",
            "Kills held back for a person because too many had been killed.",
            "Decide on the held scopes; was it a deploy?",
        )

    def _declare_obedience(self) -> None:
        self.heartbeat_at_s = self._gauge(
            "commander_heartbeat_timestamp_seconds",
            "When the last signed heartbeat was written or seen.",
            "Older than 10 s: no worker owns the decisions, or the kill topic refuses writes.",
        )
        self.acks = self._counter("acks", "Reports from gateways.", "None: no gateway is connected.")
        self.gateways = self._gauge(
            "gateways", "Gateways, by the state they last reported.", "Stale ones don't hear of new kills.", "state"
        )
        self.unconfirmed = self._gauge(
            "commands_unconfirmed",
            "Commands in force that some gateway is not known to obey.",
            "`brakeline list` names the gateways. See the stale ones.",
        )
        self.obeyed_s = self._histogram(
            "obeyed_seconds", "From a command to a gateway's report of it.", "See the stale gateways.", _KILL_BUCKETS_S
        )
        self.limit_share = self._gauge(
            "limit_share",
            "Part of a limit that a gateway may use, of the scope that has used most of it.",
            "They sum to 1 at most. A gateway that needs more gets it as it reports its use.",
            "gateway",
            "limit",
        )
        self.limit_used = self._gauge(
            "limit_used",
            "Part of a limit that a gateway has used, of that same scope; told from half a share on.",
            "Near 1: who uses it? Raise the limit, or leave it: calls beyond it are refused.",
            "gateway",
            "limit",
        )
        self.limit_open_calls = self._gauge(
            "limit_open_calls",
            "Calls that hold reservations at a gateway: under way, or never settled.",
            "Rising for ever: its proxy doesn't settle. Those calls stay counted at their estimate.",
            "gateway",
        )
        self.calls_after_kill = self._counter(
            "calls_after_kill",
            "Calls of a killed scope after its kill.",
            "A gateway without the kit, or one that is stale.",
            "team",
        )

    def _declare_people(self) -> None:
        self.slack_failures = self._counter(
            "slack_failures", "Messages to Slack that failed, by reason.", "Kills go on. See the log.", "reason"
        )
        self.told = self._counter(
            "notices", "Messages to people, by sink and outcome.", "See slack_failures.", "sink", "outcome"
        )
        self.incidents_open = self._gauge("incidents_open", "Open incidents, by severity.", "", "severity")

    def _counter(self, name: str, meaning: str, remedy: str, *labels: str) -> Counter:
        self._note(f"brakeline_{name}_total", "counter", labels, meaning, remedy)
        return Counter(f"brakeline_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, remedy: str, *labels: str) -> Gauge:
        self._note(f"brakeline_{name}", "gauge", labels, meaning, remedy)
        return Gauge(f"brakeline_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, remedy: str, buckets: Sequence[float]) -> Histogram:
        self._note(f"brakeline_{name}", "histogram", (), meaning, remedy)
        return Histogram(f"brakeline_{name}", meaning, buckets=buckets, registry=self.registry)

    def _note(self, name: str, kind: str, labels: tuple[str, ...], meaning: str, remedy: str) -> None:
        self.declared.append(Declaration(name, kind, labels, meaning, remedy))

    def team(self, name: str) -> str:
        """Return the label of a team: its name, `none`, or `other` once 200 teams have been seen."""
        if name in self._teams or not name:
            return name or "none"
        if len(self._teams) >= TEAMS_MAX:
            return OTHER
        self._teams.add(name)
        return name

    def add_books(self, counts: Counts) -> None:
        """Count a batch."""
        self.consumed.inc(counts.consumed)
        self.accepted.inc(counts.accepted)
        self.duplicate.inc(counts.duplicate)
        self.late.inc(counts.late)
        for reason, events in counts.quarantined.items():
            self.quarantined.labels(reason).inc(events)

    def set_all(self, gauge: Gauge, values: Mapping[str, float]) -> None:
        """Set a gauge of one label to exactly these values: what is not named is gone."""
        gauge.clear()
        for label, value in values.items():
            gauge.labels(label).set(value)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type, as the scraper's Accept header asks."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def document() -> str:
    """Return the table of all metrics as Markdown."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.meaning} | {each.remedy} |"
        for each in Metrics().declared
    ]
    return "\n".join(["| metric | kind | labels | meaning | what to do |", "|---|---|---|---|---|", *rows, ""])
