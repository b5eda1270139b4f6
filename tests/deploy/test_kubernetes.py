"""The manifests hold together: what is named exists, and nothing runs with more rights than it needs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import load

K8S = Path(__file__).resolve().parents[2] / "deploy/k8s"
MANIFESTS: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in K8S.glob("*.yaml")}
POD = MANIFESTS["deployment"]["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


def test_the_pod_runs_without_root_and_without_a_writable_root() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False


def test_the_configuration_is_mounted_as_a_folder() -> None:
    """A subPath mount never sees a changed ConfigMap."""
    mounts = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}

    assert "subPath" not in mounts["config"]
    assert CONTAINER["args"][-1] == f"{mounts['config']['mountPath']}/brakeline.yaml"


def test_every_volume_is_mounted_and_every_mount_has_a_volume() -> None:
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "brakeline.yaml"
    file.write_text(MANIFESTS["configmap"]["data"]["brakeline.yaml"])
    environ = {item["name"]: "value" for item in CONTAINER["env"]}

    settings = load(file, environ)

    assert settings.mode == "shadow"
    assert settings.service.web_port == CONTAINER["ports"][0]["containerPort"]


@pytest.mark.parametrize("name", ["poddisruptionbudget", "networkpolicy", "servicemonitor", "service"])
def test_everything_selects_the_pods(name: str) -> None:
    labels = MANIFESTS["deployment"]["spec"]["template"]["metadata"]["labels"]
    spec = MANIFESTS[name]["spec"]
    selector = spec.get("podSelector") or spec["selector"]

    assert selector.get("matchLabels", selector) == labels


def test_the_service_monitor_has_only_fields_that_the_operator_knows() -> None:
    spec = MANIFESTS["servicemonitor"]["spec"]
    ports = {port["name"] for port in MANIFESTS["service"]["spec"]["ports"]}

    assert set(spec) <= {"jobLabel", "selector", "namespaceSelector", "endpoints", "targetLabels", "sampleLimit"}
    for endpoint in spec["endpoints"]:
        assert set(endpoint) <= {
            "port",
            "path",
            "interval",
            "scrapeTimeout",
            "scheme",
            "tlsConfig",
            "metricRelabelings",
        }
        assert endpoint["port"] in ports


def test_the_kustomization_lists_every_manifest() -> None:
    assert {f"{name}.yaml" for name in MANIFESTS} - {"kustomization.yaml"} == set(
        MANIFESTS["kustomization"]["resources"]
    )
