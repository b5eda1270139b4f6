"""Write the Grafana dashboards, or (`--queries`) their PromQL as a rules file for promtool to lint."""

import json
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 8, 7  # Of a panel; a row of the dashboard is 24 wide.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What Grafana fills in, and what promtool may read in its place.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h"}


class Panel(NamedTuple):
    """A panel: its queries by legend, and what a person should read from it."""

    title: str
    meaning: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"


def quantiles(metric: str) -> dict[str, str]:
    """Return queries for the median and the 99th percentile of a histogram."""
    buckets = f"sum by (le) (rate({metric}_bucket[$__rate_interval]))"
    return {f"p{percent}": f"histogram_quantile({percent / 100}, {buckets})" for percent in (50, 99)}


OPERATIONS = (
    Panel(
        "Events",
        "Accepted, duplicate, late and quarantined add up to what was consumed.",
        "cps",
        {
            name: f"sum(rate(brakeline_events_{name}_total[$__rate_interval]))"
            for name in ("accepted", "duplicate", "late", "quarantined")
        },
    ),
    Panel("Lag", "Events that wait in Kafka.", "short", {"events": "sum(brakeline_consumer_lag_events)"}),
    Panel(
        "Behind real time",
        "How old the events are that are judged now; a kill comes this much later.",
        "s",
        {"delay": "max(brakeline_watermark_delay_seconds)"},
    ),
    Panel(
        "Event to kill",
        "From an event's arrival to the signed command.",
        "s",
        quantiles("brakeline_event_to_kill_seconds"),
    ),
    Panel(
        "Command to obedience", "From the command to a gateway's report.", "s", quantiles("brakeline_obeyed_seconds")
    ),
    Panel(
        "Decisions",
        "What the policy decided, by action.",
        "cps",
        {"{{action}}": "sum by (action) (rate(brakeline_decisions_total[$__rate_interval]))"},
    ),
    Panel("Kills in force", "By kind of scope.", "short", {"{{kind}}": "sum by (kind) (brakeline_kills_active)"}),
    Panel(
        "Calls after a kill",
        "Should be nothing: a gateway let a killed agent through.",
        "short",
        {"{{team}}": "sum by (team) (increase(brakeline_calls_after_kill_total[$__rate_interval]))"},
    ),
    Panel(
        "Quarantined by reason",
        "Events that couldn't be used.",
        "cps",
        {"{{reason}}": "sum by (reason) (rate(brakeline_events_quarantined_total[$__rate_interval]))"},
    ),
    Panel(
        "Commander's heartbeat",
        "Age of the last signed heartbeat; gateways call themselves stale at 10 s.",
        "s",
        {"age": "time() - max(brakeline_commander_heartbeat_timestamp_seconds)"},
    ),
    Panel("Gateways", "By what they last reported.", "short", {"{{state}}": "sum by (state) (brakeline_gateways)"}),
    Panel(
        "Slack failures",
        "Failed messages; nothing is lost, they are sent again.",
        "short",
        {"{{reason}}": "sum by (reason) (increase(brakeline_slack_failures_total[$__rate_interval]))"},
    ),
)
SPEND = (
    Panel(
        "Spend by team",
        "Dollars an hour, as the events say.",
        "currencyUSD",
        {"{{team}}": "3600 * sum by (team) (rate(brakeline_spend_usd_total[$__rate_interval]))"},
    ),
    Panel(
        "Spent in this range",
        "By team.",
        "currencyUSD",
        {"{{team}}": "sum by (team) (increase(brakeline_spend_usd_total[$__range]))"},
        "bargauge",
    ),
    Panel(
        "Open incidents",
        "By severity.",
        "short",
        {"{{severity}}": "sum by (severity) (brakeline_incidents_open)"},
        "stat",
    ),
    Panel(
        "Events without a known price",
        "Counted at the ceiling price until the price is set.",
        "short",
        {"events": "sum(increase(brakeline_unknown_price_events_total[$__rate_interval]))"},
    ),
    Panel(
        "Gateway checks",
        "Calls allowed and refused.",
        "reqps",
        {"{{outcome}}": "sum by (outcome) (rate(brakeline_gateway_checks_total[$__rate_interval]))"},
    ),
    Panel(
        "Age of the gateways' view",
        "Since the last heartbeat that a gateway saw.",
        "s",
        {"{{instance}}": "max by (instance) (brakeline_gateway_heartbeat_age_seconds)"},
    ),
    Panel(
        "Limits by gateway",
        "Part of each limit that a gateway may use, and has used, of the scope that has used most of it.",
        "percentunit",
        {
            "{{gateway}} may use of {{limit}}": "max by (gateway, limit) (brakeline_limit_share)",
            "{{gateway}} has used of {{limit}}": "max by (gateway, limit) (brakeline_limit_used)",
        },
    ),
    Panel(
        "Calls that hold reservations",
        "Under way, or never settled.",
        "short",
        {"{{gateway}}": "max by (gateway) (brakeline_limit_open_calls)"},
    ),
)
DASHBOARDS = {"operations": ("Brakeline: operations", OPERATIONS), "spend": ("Brakeline: spend and gateways", SPEND)}


def panel_json(number: int, panel: Panel) -> dict[str, Any]:
    """Return one panel, placed by its number: three in a row."""
    row, column = divmod(number, 24 // WIDTH)
    targets = [
        {"refId": chr(ord("A") + n), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
        for n, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def dashboard(name: str) -> str:
    """Return a dashboard as Grafana imports it."""
    title, panels = DASHBOARDS[name]
    choice = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    found = {
        "uid": f"brakeline-{name}",
        "title": title,
        "tags": ["brakeline"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [choice]},
        "panels": [panel_json(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(found, indent=2) + "\n"


def queries() -> Iterator[str]:
    """Yield every query, with Grafana's variables filled in."""
    for _, panels in DASHBOARDS.values():
        for panel in panels:
            for query in panel.queries.values():
                yield reduce(lambda text, pair: text.replace(*pair), VARIABLES.items(), query)


def as_rules() -> str:
    """Return the queries as recording rules, which promtool can lint; JSON is YAML too."""
    rules = [{"record": f"dashboard:query:{number}", "expr": query} for number, query in enumerate(queries())]
    return json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}, indent=2)


if __name__ == "__main__":
    if "--queries" in sys.argv:
        print(as_rules())
    else:
        for name in DASHBOARDS:
            (HERE / f"{name}.json").write_text(dashboard(name), encoding="utf-8")
