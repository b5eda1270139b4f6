"""Image, compose file, locks: what they pin is what the project asks for."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from streams.settings import load

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def pins(lines: list[str]) -> dict[str, str]:
    """Distribution name, normalised -> exact version; a line without one maps to nothing."""
    found = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(?:==(\S+?))?(?:\s*;.*)?", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] or "" for match in found if match}


def lock(name: str) -> dict[str, str]:
    lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()
    return pins([line for line in lines if not line.startswith("#")])


@pytest.mark.parametrize("name", ["run", "dev", "gateways"])
def test_a_lock_pins_everything_exactly_and_names_no_place(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()

    assert all(lock(name).values())
    assert not re.search(r"://|^-|@ ", text, re.M)


def test_the_locks_agree_with_the_project() -> None:
    extras = PROJECT["project"]["optional-dependencies"]["embedded"]
    asked = pins(PROJECT["project"]["dependencies"])
    for_development = asked | pins(extras) | pins(PROJECT["dependency-groups"]["dev"])

    assert asked.items() <= lock("run").items(), "run `make lock`"
    assert for_development.items() <= lock("dev").items(), "run `make lock`"
    assert lock("run").items() <= lock("dev").items()


def test_the_kit_in_the_real_gateways_has_the_versions_that_the_project_has() -> None:
    asked, ours = pins(PROJECT["dependency-groups"]["gateways"]), pins(PROJECT["project"]["dependencies"])

    assert asked.items() <= lock("gateways").items(), "run `make lock`"
    assert {name: version for name, version in asked.items() if name in ours and ours[name] != version} == {}


def test_images_are_pinned() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    images += [service["image"] for service in COMPOSE["services"].values()]

    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images), images


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["10001:10001"]


def test_the_image_installs_the_build_tool_that_the_project_names() -> None:
    assert PROJECT["build-system"]["requires"][0] in DOCKERFILE


def test_compose_listens_on_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_runs_a_configuration_that_is_valid() -> None:
    service = COMPOSE["services"]["brakeline"]
    settings = load(ROOT / "deploy/brakeline.yaml", service["environment"])

    assert settings.kafka.bootstrap == ("kafka:29092",)
    assert str(settings.service.data_dir) in DOCKERFILE
    assert str(settings.keys.dir) in DOCKERFILE


def test_the_example_pipelines_pin_this_version() -> None:
    for path in (ROOT / "deploy/ci").glob("*.yaml"):
        assert f"brakeline=={PROJECT['project']['version']}" in path.read_text()
