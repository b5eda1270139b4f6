"""Webhook and pager through failures: nothing is lost, nothing paged twice, and what is over is resolved there too."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import pytest
from aiohttp import web
from incident_life import decision
from pages import serving
from waiting import until

from alerts.chart import Point
from alerts.decision import Action
from alerts.incident import Act, Incident, Outcome
from alerts.webhook import SIGNATURE_HEADER, is_genuine
from streams.notifier import Notifier
from streams.people import People
from streams.settings import Settings

Mood = Literal["fail", "limit", "drop", "hang", "silent", "refuse"]
SECRET = "a-secret-of-sixteen"


class Programs:
    """A webhook's receiver and PagerDuty's; `moods` are taken from the left, one a request, then all is well."""

    def __init__(self) -> None:
        self.moods: dict[str, deque[Mood]] = {"hook": deque(), "pager": deque()}
        self.taken: dict[str, list[dict[str, Any]]] = {"hook": [], "pager": []}
        self.tries: dict[str, int] = {"hook": 0, "pager": 0}
        self.signed: list[tuple[bytes, str]] = []
        self._over = asyncio.Event()

    async def hook(self, request: web.Request) -> web.Response:
        self.signed.append((await request.read(), request.headers.get(SIGNATURE_HEADER, "")))
        return await self._answer("hook", request)

    async def pager(self, request: web.Request) -> web.Response:
        return await self._answer("pager", request)

    async def _answer(self, who: str, request: web.Request) -> web.Response:
        self.tries[who] += 1
        mood = self.moods[who].popleft() if self.moods[who] else None
        if mood in (None, "drop", "silent"):
            self.taken[who].append(json.loads(await request.read()))
        if mood in ("hang", "silent"):
            await self._over.wait()
        if mood == "drop":
            assert request.transport is not None
            request.transport.abort()
        status = {"fail": 503, "limit": 429, "refuse": 400}.get(mood or "", 202)
        return web.Response(status=status, headers={"Retry-After": "1"})

    def close(self) -> None:
        self._over.set()

    @property
    def paged(self) -> dict[str, str]:
        """What PagerDuty shows: the last word on each key."""
        return {event["dedup_key"]: event["event_action"] for event in self.taken["pager"]}

    @property
    def heard(self) -> dict[str, dict[str, Any]]:
        """What a receiver keeps: the highest revision of each id."""
        found: dict[str, dict[str, Any]] = {}
        for alert in self.taken["hook"]:
            if alert["revision"] >= found.get(alert["id"], alert)["revision"]:
                found[alert["id"]] = alert
        return found


class Desk:
    """A notifier that tells both."""

    def __init__(self, url: str, programs: Programs) -> None:
        self.programs = programs
        self.clock = time.time
        settings = Settings.model_validate(
            {
                "webhooks": [{"url": f"{url}/hook", "secret": SECRET}],
                "pagerduty": {"routing_key": "r" * 32, "base_url": url},
            }
        )
        people = People(settings, self.clock, no_history)
        self.notifier = Notifier(put, people.routes(), now_s=self.clock)
        self.running = asyncio.create_task(self.notifier.run())

    async def kill(self, name: str, seq: int) -> str:
        made = decision(name, at_s=self.clock(), expires_s=self.clock() + 3_600)
        await self.notifier.decided(made, Outcome(1, seq, made.expires_s), offset=seq)
        return made.incident_id

    async def release(self, name: str, seq: int) -> None:
        made = decision(name, Action.RELEASE, at_s=self.clock(), actor="user:anna", reason="mended")
        await self.notifier.decided(made, Outcome(1, seq), offset=seq)


async def no_history(_incident: Incident) -> Sequence[Point]:
    return []


async def put(_topic: str, _key: str, _value: bytes | None) -> None:
    return None


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr("alerts.http.TIMEOUT_S", 0.3)
    programs = Programs()
    app = web.Application()
    app.router.add_post("/hook", programs.hook)
    app.router.add_post("/v2/enqueue", programs.pager)
    async with serving(app) as url:
        made = Desk(url, programs)
        yield made
        made.running.cancel()
        programs.close()
        with suppress(asyncio.CancelledError):
            await made.running


FAULTS: list[Mood] = ["limit", "drop", "hang", "silent"]


async def test_what_fails_is_tried_again_until_both_know_and_resolved_when_it_is_released(desk: Desk) -> None:
    programs = desk.programs
    for who in programs.moods:
        programs.moods[who].extend(FAULTS)
    names = [await desk.kill(name, seq) for seq, name in enumerate("abc", 1)]
    await until(lambda: programs.paged == dict.fromkeys(names, "trigger"), 20)
    await until(lambda: {one["in_force"] for one in programs.heard.values()} == {"killed"} and len(programs.heard) == 3)
    await until(lambda: min(programs.tries.values()) >= len(FAULTS) + 3, 20)

    await desk.notifier.acted(Act("acknowledge", names[0], "slack:U1"))
    await until(lambda: programs.paged[names[0]] == "acknowledge")
    for who in programs.moods:
        programs.moods[who].extend(["fail", "fail"])
    for seq, name in enumerate("abc", 11):
        await desk.release(name, seq)
    await until(lambda: programs.paged == dict.fromkeys(names, "resolve"), 20)
    await until(lambda: {one["status"] for one in programs.heard.values()} == {"released"}, 20)
    assert {event["dedup_key"] for event in programs.taken["pager"]} == set(names), "one key an incident, ever"


async def test_what_a_receiver_will_never_take_holds_up_nobody_and_its_next_state_is_tried(desk: Desk) -> None:
    desk.programs.moods["pager"].extend(["refuse"])
    first = await desk.kill("a", 1)
    await until(lambda: desk.programs.tries["pager"] == 1)
    second = await desk.kill("b", 2)
    await until(lambda: desk.programs.paged.get(second) == "trigger")
    assert first not in desk.programs.paged
    assert desk.programs.tries["pager"] == 2, "what was refused isn't sent again and again"
    await desk.release("a", 3)
    await until(lambda: desk.programs.paged.get(first) == "resolve")


async def test_every_try_is_signed_for_its_own_moment(desk: Desk) -> None:
    desk.programs.moods["hook"].extend(["fail", "drop"])
    await desk.kill("a", 1)
    await until(lambda: desk.programs.tries["hook"] >= 3, 20)

    stamps = [float(signature.partition(",")[0].removeprefix("t=")) for _, signature in desk.programs.signed]
    assert all(
        is_genuine(SECRET, body, signature, at_s)
        for (body, signature), at_s in zip(desk.programs.signed, stamps, strict=True)
    )
    assert stamps == sorted(stamps)
    assert len(set(stamps)) > 1
