from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alerts.gateway.keys import write_keys
from streams.broker import embedded_broker
from streams.doctor import Finding, Level, examine
from streams.settings import Settings, load


@pytest.fixture
async def slack() -> AsyncIterator[Callable[[], str]]:
    async def answer(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer xoxb-good"
        body = {"ok": True, "user": "brakeline", "team": "acme"} if good else {"ok": False, "error": "invalid_auth"}
        return web.json_response(body)

    app = web.Application()
    app.router.add_post("/api/auth.test", answer)
    async with TestServer(app) as server:
        yield lambda: str(server.make_url("/api/"))


def settings(folder: Path, text: str = "", broker: str = "127.0.0.1:1") -> Settings:
    path = folder / "brakeline.yaml"
    path.write_text(f"kafka: {{bootstrap: '{broker}', request_timeout_ms: 2000}}\nkeys: {{dir: keys}}\n{text}")
    return load(path)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def findings(given: Settings) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in await examine(given):
        found.setdefault(finding.part, []).append(finding)
    return found


async def test_what_is_missing_has_a_remedy(tmp_path: Path) -> None:
    found = await findings(settings(tmp_path))

    assert found["kafka"][0].level is Level.FAIL
    assert "kafka.bootstrap: '127.0.0.1:1'" in found["kafka"][0].what
    assert "brakeline keys" in found["keys"][0].remedy
    assert "topics" not in found
    assert all(each.remedy for several in found.values() for each in several if each.level is not Level.OK)


async def test_it_changes_nothing(tmp_path: Path) -> None:
    with embedded_broker() as broker:
        await findings(settings(tmp_path, broker=broker))

    assert names_in(tmp_path) == ["brakeline.yaml"]


async def test_keys_that_others_can_read_are_told(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys")
    (tmp_path / "keys" / "approver.key").chmod(0o644)

    found = await findings(settings(tmp_path))

    (finding,) = found["keys"]
    assert (finding.level, "chmod 600" in finding.remedy) == (Level.FAIL, True)


async def test_a_key_file_that_is_none_is_told(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys")
    (tmp_path / "keys" / "detector.key").write_text("{}")

    found = await findings(settings(tmp_path))

    assert found["keys"][0].level is Level.FAIL


async def test_missing_topics_and_a_missing_service_are_told(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys")
    with embedded_broker() as broker:
        found = await findings(settings(tmp_path, "service: {web_port: 1}", broker))

    assert found["kafka"][0].level is Level.OK
    assert any("--create" in finding.remedy for finding in found["topics"])
    assert found["service"][0].level is Level.WARN


@pytest.mark.parametrize(("token", "level"), [("xoxb-good", Level.OK), ("xoxb-bad", Level.FAIL)])
async def test_slack_is_asked_who_we_are(tmp_path: Path, slack: Callable[[], str], token: str, level: Level) -> None:
    found = await findings(settings(tmp_path, f"slack: {{token: {token}, channel: C1, base_url: '{slack()}'}}"))

    assert found["slack"][0].level is level
    assert token not in str(found)


async def test_certificates_that_are_not_there_are_told(tmp_path: Path) -> None:
    text = f"kafka: {{bootstrap: 'a:1', security: {{protocol: SSL, ca_file: {tmp_path}/none.pem}}}}"
    path = tmp_path / "b.yaml"
    path.write_text(text)

    found = await findings(load(path))

    assert "kafka.security" in found["kafka"][0].remedy
