"""Programs are told too: signed, once a revision, with every failure named so that it can be tried again."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from incident_life import decision
from msgspec.structs import replace

from alerts.decision import Action
from alerts.incident import Act, Outcome
from alerts.incidents import Book
from alerts.message import View
from alerts.pagerduty import PagerDuty, event
from alerts.sink import NotSent, Place, RateLimited, Refused, SinkError, Uncertain
from alerts.webhook import SIGNATURE_HEADER, Webhook, is_genuine

NOW = 1_000.0


class Receiver:
    """Answers with `status`; remembers bodies and headers."""

    def __init__(self) -> None:
        self.status = 202
        self.got: list[tuple[bytes, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((await request.read(), request.headers))
        headers = {"Retry-After": "9"} if self.status == 429 else {"Location": "/elsewhere"}
        return web.Response(status=self.status, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def book() -> Book:
    made = Book()
    made.decided(decision(team="data"), NOW, Outcome(1, 1), offset=1)
    return made


def view(made: Book) -> View:
    (incident,) = made.incidents.values()
    return View(incident=incident, runbook_url="https://x/{incident}")


async def test_a_webhook_is_signed_so_that_the_receiver_may_believe_it(receiver: Receiver) -> None:
    shown = view(book())
    assert await Webhook("webhook:0", receiver.url, "s3cret", lambda: NOW).post(shown) == Place(
        "webhook", shown.incident.id
    )

    body, headers = receiver.got[0]
    assert is_genuine("s3cret", body, headers[SIGNATURE_HEADER], NOW + 60)
    assert not is_genuine("s3cret", body + b" ", headers[SIGNATURE_HEADER], NOW + 60)
    assert not is_genuine("other", body, headers[SIGNATURE_HEADER], NOW + 60)
    assert not is_genuine("s3cret", body, headers[SIGNATURE_HEADER], NOW + 301)
    assert json.loads(body)["headline"] == "KILLED: agent a"


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Uncertain), (503, Uncertain), (429, RateLimited), (400, Refused), (401, NotSent), (302, NotSent)],
)
async def test_each_failure_is_named_for_what_it_means(receiver: Receiver, status: int, error: type[SinkError]) -> None:
    receiver.status = status
    with pytest.raises(error) as raised:
        await Webhook("webhook:0", receiver.url, "", lambda: NOW).post(view(book()))

    assert len(receiver.got) == 1
    assert not isinstance(raised.value, RateLimited) or raised.value.retry_after_s == 9


async def test_nobody_at_home_is_surely_not_sent() -> None:
    with pytest.raises(NotSent):
        await Webhook("webhook:0", "http://127.0.0.1:9/", "", lambda: NOW).post(view(book()))


async def test_pagerduty_is_triggered_acknowledged_and_resolved_under_one_key(receiver: Receiver) -> None:
    made = book()
    pager = PagerDuty("r" * 32, receiver.url)
    name = view(made).incident.id
    await pager.post(view(made))
    made.acted(Act("acknowledge", name, "slack:U1"), NOW + 1)
    await pager.update(Place(), view(made))
    made.decided(decision(action=Action.RELEASE, at_s=200.0), NOW + 2, Outcome(1, 2), offset=2)
    await pager.update(Place(), view(made))

    sent = [json.loads(body) for body, _ in receiver.got]
    assert [one["event_action"] for one in sent] == ["trigger", "acknowledge", "resolve"]
    assert {one["dedup_key"] for one in sent} == {name}
    assert sent[0]["payload"]["severity"] == "critical"


def test_a_page_stays_within_pagerdutys_limits() -> None:
    made = Book()
    made.decided(decision("a" * 500, reason="r" * 3_000), NOW, Outcome(1, 1), offset=1)
    told = event(view(made), "r" * 32)

    assert len(told["payload"]["summary"]) <= 1_024
    assert len(json.dumps(told)) < 512 * 1_024


def test_an_incident_that_another_speaks_for_is_taken_off_the_pager() -> None:
    made = book()
    (incident,) = made.incidents.values()
    assert event(View(incident=replace(incident, parent="p")), "k")["event_action"] == "resolve"
