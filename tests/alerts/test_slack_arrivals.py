"""Clicks arrive by signed HTTP or by Socket Mode; what is forged, old or repeated changes nothing."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, web
from fake_slack import FakeSlack
from incident_life import decision
from slack_room import NOW, SECRET, Room, pressed, submitted
from waiting import until

from alerts.blocks import target_of
from alerts.incident import Status
from alerts.slack import Ear
from alerts.slack_http import slack_actions


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with FakeSlack() as slack:
        yield Room(slack)


@pytest.fixture
async def url(room: Room) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/slack/actions", slack_actions(room.desk, SECRET, lambda: room.now_s))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/slack/actions"
    await runner.cleanup()


async def send(url: str, payload: dict[str, Any], at_s: float, secret: str = SECRET) -> tuple[int, str]:
    body = urlencode({"payload": json.dumps(payload)})
    signature = hmac.new(secret.encode(), f"v0:{int(at_s)}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": str(int(at_s)),
        "X-Slack-Signature": f"v0={signature}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status, await response.text()


async def test_a_signed_click_over_http_acts_and_its_replay_does_not(room: Room, url: str) -> None:
    incident = room.command(decision())
    click = pressed("acknowledge", target_of(incident))
    assert await send(url, click, NOW) == (200, "")
    await until(lambda: room.book.incidents[incident.id].status is Status.ACKNOWLEDGED)

    assert (await send(url, click, NOW))[0] == 401
    assert len(room.audit) == 1


@pytest.mark.parametrize(("at_s", "secret"), [(NOW, "wrong"), (NOW - 301, SECRET), (NOW + 301, SECRET)])
async def test_a_forged_or_old_request_changes_nothing(room: Room, url: str, at_s: float, secret: str) -> None:
    incident = room.command(decision())

    assert (await send(url, pressed("acknowledge", target_of(incident)), at_s, secret))[0] == 401
    assert (room.audit, room.book.incidents[incident.id]) == ([], incident)


async def test_a_refused_dialog_over_http_says_why(room: Room, url: str) -> None:
    await room.press("release", target_of(room.command(decision())))
    status, text = await send(url, submitted(room.slack.modals[-1], "because", "UVIEW"), NOW)

    assert status == 200
    assert json.loads(text)["response_action"] == "errors"


async def test_a_click_by_socket_mode_is_acked_at_once_and_acts(room: Room) -> None:
    incident = room.command(decision())
    ear = asyncio.create_task(Ear("xapp-1", room.desk.handle, base_url=room.slack.base_url, ping_s=0.2).run())
    try:
        await until(lambda: room.slack.connected)
        await room.slack.press(pressed("release", target_of(incident)))
        await until(lambda: room.slack.envelopes_acked == ["e1"] and len(room.slack.modals) == 1)
        await room.slack.press(submitted(room.slack.modals[0], "it was me"), "e2")
        await until(lambda: len(room.decisions) == 1 and "e2" in room.slack.envelopes_acked)
    finally:
        ear.cancel()
        await asyncio.gather(ear, return_exceptions=True)
