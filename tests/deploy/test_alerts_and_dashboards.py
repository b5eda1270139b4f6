"""What an SRE loads into Prometheus and Grafana fits together, and fits the code."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
RUNBOOKS = sorted((DEPLOY / "runbooks").glob("*.md"))


def generate(*arguments: str) -> str:
    command = [sys.executable, str(DEPLOY / "grafana/generate.py"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def runbook(rule: dict[str, Any]) -> str:
    return rule["annotations"]["runbook_url"].rsplit("/", 1)[-1]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert rule["annotations"]["summary"].endswith(".")
    assert (DEPLOY / "runbooks" / runbook(rule)).is_file()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_tested_to_fire_and_to_be_quiet(rule: dict[str, Any]) -> None:
    told = yaml.safe_load((DEPLOY / "prometheus/rules_test.yaml").read_text())["tests"]
    tested = [bool(case["exp_alerts"]) for test in told for case in test.get("alert_rule_test", ())
              if case["alertname"] == rule["alert"]]  # fmt: skip

    assert set(tested) == {True, False} or rule["alert"] == "BrakelineDeadMan", "it always fires"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_where_to_look_and_what_to_do(path: Path) -> None:
    text = path.read_text()

    assert re.findall(r"^## (.*)$", text, re.M) == ["What it means", "Look here", "Do this"]
    assert len(text.splitlines()) < 40
    assert all((path.parent / name).is_file() for name in re.findall(r"\]\(([\w-]+\.md)\)", text))


def test_no_runbook_is_without_an_alert() -> None:
    assert {path.name for path in RUNBOOKS} == {runbook(rule) for rule in RULES}


@pytest.mark.parametrize("name", ["operations", "spend"])
def test_the_committed_dashboards_are_what_the_script_writes(name: str) -> None:
    sys.path.insert(0, str(DEPLOY / "grafana"))
    try:
        from generate import dashboard
    finally:
        sys.path.remove(str(DEPLOY / "grafana"))

    assert (DEPLOY / f"grafana/{name}.json").read_text() == dashboard(name), "run `make generate`"


def used_metrics() -> set[str]:
    texts = [rule["expr"] for rule in RULES]
    texts += [rule["expr"] for rule in json.loads(generate("--queries"))["groups"][0]["rules"]]
    return {name for text in texts for name in re.findall(r"brakeline_\w+", text)}


def literals(*files: Path) -> set[str]:
    """Every string in the code that could name a metric, with and without our prefix."""
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    found = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {name if name.startswith("brakeline_") else f"brakeline_{name}" for name in found}


def undeclared(used: set[str], declared: set[str]) -> set[str]:
    return {name for name in used if not {name, re.sub("_(total|bucket|sum|count)$", "", name)} & declared}


def test_alerts_and_dashboards_use_only_metrics_of_the_service() -> None:
    metrics = ROOT / "streams/metrics.py"
    if not metrics.exists():
        pytest.skip("streams/metrics.py isn't there yet")
    used = {name for name in used_metrics() if not name.startswith("brakeline_gateway_")}

    assert undeclared(used, literals(metrics)) == set()


def test_alerts_and_dashboards_use_only_metrics_of_the_gateway() -> None:
    if not (ROOT / "alerts/gateway/sidecar.py").exists():
        pytest.skip("alerts/gateway/sidecar.py isn't there yet")
    used = {name for name in used_metrics() if name.startswith("brakeline_gateway_")}

    assert undeclared(used, literals(*(ROOT / "alerts/gateway").glob("*.py"))) == set()
