"""What the page has of others: exactly what the lock says, in the wheel, and the page works without."""

import json
import os
import re
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pages import Filled, runaway

from streams.web import assets
from streams.web.assets import STATIC, VENDOR

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "streams/web/assets"
SOURCES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.min.css": "uplot/dist/uPlot.min.css",
}


@pytest.fixture
def installed() -> None:
    if assets.vendor_missing() or not (FOLDER / "node_modules").is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("make setup has not installed the page's assets")
        pytest.skip("the page's assets aren't installed: make setup, with npm")


def test_the_lock_pins_each_package_by_its_content_and_names_no_place() -> None:
    text = (FOLDER / "package-lock.json").read_text()
    lock, asked = json.loads(text), json.loads((FOLDER / "package.json").read_text())
    pins = {**asked["dependencies"], **asked["devDependencies"]}

    assert "://" not in text
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins.values())
    assert {
        name.removeprefix("node_modules/"): entry["version"] for name, entry in lock["packages"].items() if name
    } == pins
    assert all(entry["integrity"].startswith("sha512-") for name, entry in lock["packages"].items() if name)


@pytest.mark.usefixtures("installed")
def test_what_is_served_is_what_npm_installed() -> None:
    assert set(SOURCES) == set(VENDOR)
    for name, source in SOURCES.items():
        assert (STATIC / "vendor" / name).read_bytes() == (FOLDER / "node_modules" / source).read_bytes(), name


@pytest.mark.usefixtures("installed")
def test_the_wheel_has_all_that_the_page_needs() -> None:
    from hatchling.builders.wheel import WheelBuilder

    names = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}

    assert {f"streams/web/static/vendor/{name}" for name in VENDOR} <= names
    assert {"streams/web/static/page.css", "streams/web/templates/agents.html"} <= names
    assert {n for n in names if n.endswith(".LICENSE")} == {
        "streams/web/static/vendor/htmx.LICENSE", "streams/web/static/vendor/uPlot.LICENSE",
    }  # fmt: skip
    assert not any("node_modules" in name or "/assets/" in name for name in names)


async def test_without_them_the_page_works_loads_itself_again_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "VENDOR", ("not-there.js",))
    filled = Filled()
    runaway(filled)
    async with TestClient(TestServer(filled.app())) as client:
        table = await (await client.get("/")).text()
        incident = await (await client.get("/incidents/incident-coder-7")).text()

    assert "coder-7" in table
    assert 'http-equiv="refresh"' in table
    assert "KILLED: agent coder-7" in incident
    assert 'http-equiv="refresh"' not in incident, "a reason that is being typed would be lost"
    for text in (table, incident):
        assert "make setup" in text
        assert "<script" not in text
