import re
from collections import Counter
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from alerts.apportion import Holding
from streams.effects import Counts
from streams.metrics import TEAMS_MAX, Metrics, document
from streams.noting import note_limits
from streams.probes import make_web

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
GATEWAYS_OWN = "brakeline_gateway_"


def test_the_books_are_counted() -> None:
    metrics = Metrics()

    counts = Counts()
    counts.consumed, counts.accepted, counts.duplicate, counts.late = 9, 5, 1, 1
    counts.quarantined = Counter(bad_ts=2)

    metrics.add_books(counts)

    text = metrics.render()[0].decode()
    assert "brakeline_events_consumed_total 9.0" in text
    assert 'brakeline_events_quarantined_total{reason="bad_ts"} 2.0' in text


def test_a_million_teams_are_two_hundred_labels() -> None:
    metrics = Metrics()

    labels = {metrics.team(f"team-{i}") for i in range(5_000)}

    assert len(labels) == TEAMS_MAX + 1
    assert metrics.team("team-0") == "team-0"
    assert metrics.team("") == "none"


def test_a_state_that_no_gateway_is_in_disappears() -> None:
    metrics = Metrics()
    metrics.set_all(metrics.gateways, {"live": 2, "stale": 1})
    metrics.set_all(metrics.gateways, {"live": 3})

    text = metrics.render()[0].decode()
    assert 'brakeline_gateways{state="live"} 3.0' in text
    assert "stale" not in re.sub(r"#.*", "", text)


def test_a_person_sees_how_much_of_a_limit_each_gateway_holds() -> None:
    metrics = Metrics()
    note_limits(metrics, [Holding("gw-1", "usd", 0.7, 0.6), Holding("gw-2", "usd", 0.3, 0.0)], {"gw-1": 4})
    text = metrics.render()[0].decode()
    assert 'brakeline_limit_share{gateway="gw-1",limit="usd"} 0.7' in text
    assert 'brakeline_limit_used{gateway="gw-1",limit="usd"} 0.6' in text
    assert 'brakeline_limit_open_calls{gateway="gw-1"} 4.0' in text

    note_limits(metrics, [Holding("gw-2", "usd", 1.0, 0.0)], {"gw-2": 0})
    assert "gw-1" not in metrics.render()[0].decode()


def test_every_metric_has_a_meaning_and_stands_in_the_document() -> None:
    for each in Metrics().declared:
        assert each.meaning.endswith(".")
        assert f"`{each.name}`" in document()


def test_rules_and_dashboards_ask_for_metrics_that_exist() -> None:
    known = {each.name for each in Metrics().declared}
    asked = set()
    for file in (DEPLOY / "prometheus" / "rules.yaml", *DEPLOY.glob("grafana/*.json")):
        asked |= set(re.findall(r"brakeline_[a-z_]+", file.read_text()))

    names = {re.sub(r"_bucket$", "", name) for name in asked if not name.startswith(GATEWAYS_OWN)}

    assert names - known == set()


async def test_exemplars_are_served_to_who_asks_for_openmetrics() -> None:
    metrics = Metrics()
    metrics.event_to_kill_s.observe(0.2, {"incident": "i1"})
    async with TestClient(TestServer(make_web(metrics, list, list))) as client:
        plain = await client.get("/metrics")
        modern = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

        assert plain.headers["Content-Type"].startswith("text/plain")
        assert 'incident="i1"' not in await plain.text()
        assert 'incident="i1"' in await modern.text()


async def test_health_means_progress() -> None:
    troubles: list[str] = []
    async with TestClient(TestServer(make_web(Metrics(), lambda: troubles, list))) as client:
        assert (await client.get("/healthz")).status == 200

        troubles.append("500 events wait and none was judged for 61 s")
        answer = await client.get("/healthz")

        assert answer.status == 503
        assert (await answer.json())["troubles"] == troubles
        assert (await client.get("/readyz")).status == 200
