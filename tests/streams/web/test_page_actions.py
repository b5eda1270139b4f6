"""A press of a button does what Slack's does: once, for who may, if this page sent it. All of it is written down."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from pages import Filled, held_call, runaway

from alerts.clicks import VERBS
from alerts.decision import Action
from streams.settings import Settings
from streams.web.safety import COOKIE

Client = TestClient  # type: ignore[type-arg]
ADDRESS = "/incidents/incident-coder-7"
FROM_HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def filled() -> Filled:
    made = Filled()
    runaway(made)
    return made


@pytest.fixture
async def client(filled: Filled) -> AsyncIterator[Client]:
    async with TestClient(TestServer(filled.app())) as made:
        yield made


async def form(client: Client) -> dict[str, str]:
    """Return the hidden fields of the incident's form, as the browser would send them."""
    text = await (await client.get(ADDRESS)).text()
    return {n: unescape(v) for n, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)}


async def press(client: Client, verb: str, reason: str = "the loop is mended", **changes: Any) -> ClientResponse:
    sent = {**await form(client), "verb": verb, "reason": reason, **changes}
    return await client.post(ADDRESS, data=sent, headers=FROM_HERE, allow_redirects=False)


async def test_a_release_frees_exactly_the_command_it_was_drawn_for(filled: Filled, client: Client) -> None:
    answer = await press(client, "release")

    assert (answer.status, answer.headers["Location"]) == (303, f"{ADDRESS}?done=release")
    (made,) = filled.decisions
    assert (made.action, made.scope, made.releases_seq) == (Action.RELEASE, "agent:coder-7", 1)
    assert (made.reason, made.actor) == ("the loop is mended", "page:local")
    assert [(a.verb, a.actor, a.outcome, a.via) for a in filled.audit] == [
        ("release", "page:local", "accepted", "page")
    ]


@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "plan"])
async def test_what_needs_no_command_is_passed_on_to_the_worker_that_commands(
    filled: Filled, client: Client, verb: str
) -> None:
    assert (await press(client, verb)).status == 303
    assert [(act.verb, act.incident_id, act.actor) for act in filled.acts] == [(verb, "incident-coder-7", "page:local")]


async def test_keeping_it_killed_outlasts_the_detectors_hour(filled: Filled, client: Client) -> None:
    assert (await press(client, "extend")).status == 303
    (made,) = filled.decisions
    assert made.action is Action.KILL
    assert made.expires_s == pytest.approx(filled.now_s + 3_560.0 + 3_600.0)


async def test_a_held_scope_is_approved_or_denied(client: Client, filled: Filled) -> None:
    runaway(filled, "nightly-3", action=Action.HOLD)
    text = await (await client.get("/incidents/incident-nightly-3")).text()
    assert [verb for verb in VERBS if f'value="{verb}"' in text] == [
        "acknowledge", "snooze", "plan", "approve", "deny",
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["", "  ", "x"])
async def test_a_release_without_a_reason_changes_nothing(filled: Filled, client: Client, reason: str) -> None:
    answer = await press(client, "release", reason)
    assert answer.status == 409
    assert "A reason is needed" in await answer.text()
    assert filled.decisions == []


async def test_a_second_press_changes_nothing(filled: Filled, client: Client) -> None:
    await press(client, "release")
    again = await press(client, "release")
    assert again.status == 409
    assert len(filled.decisions) == 1
    assert [line.outcome for line in filled.audit] == ["accepted", "refused: asked for already"]


async def test_a_press_on_a_state_that_is_gone_changes_nothing(filled: Filled, client: Client) -> None:
    answer = await press(client, "release", seq="7")
    assert answer.status == 409
    assert "It has changed" in await answer.text()
    assert filled.decisions == []


@pytest.mark.parametrize("verb", VERBS)
async def test_a_viewer_changes_nothing_and_is_written_down(filled: Filled, verb: str) -> None:
    settings = Settings.model_validate({"page": {"local_role": "viewer"}})
    async with TestClient(TestServer(filled.app(settings))) as client:
        text = await (await client.get(ADDRESS)).text()
        assert '<form class="act"' not in text
        cookie = client.session.cookie_jar.filter_cookies(client.make_url("/"))[COOKIE].value
        sent = {"form_token": cookie, "epoch": "1", "seq": "1", "verb": verb, "reason": "let me"}
        answer = await client.post(ADDRESS, data=sent, headers=FROM_HERE)
        assert answer.status == 409
    assert (filled.decisions, filled.acts) == ([], [])
    assert [line.outcome.startswith("refused") for line in filled.audit] == [True]


FORGED: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("another site", {"Sec-Fetch-Site": "cross-site"}, {}),
    ("a site beside ours", {"Sec-Fetch-Site": "same-site"}, {}),
    ("typed in", {"Sec-Fetch-Site": "none"}, {}),
    ("an old browser on another site", {"Origin": "https://evil.example.com"}, {}),
    ("no browser at all", {}, {}),
    ("a token made up", FROM_HERE, {"form_token": "a" * 43}),
    ("no token", FROM_HERE, {"form_token": ""}),
]


@pytest.mark.parametrize(("what", "headers", "fields"), FORGED, ids=[row[0] for row in FORGED])
async def test_a_form_from_elsewhere_changes_nothing_and_is_written_down(
    filled: Filled, client: Client, what: str, headers: dict[str, str], fields: dict[str, str]
) -> None:
    sent = {**await form(client), "verb": "release", "reason": "let me", **fields}
    answer = await client.post(ADDRESS, data=sent, headers=headers)

    assert answer.status == 403
    assert (filled.decisions, filled.acts) == ([], [])
    assert [line.outcome.startswith("refused: ") for line in filled.audit] == [True]


async def test_an_old_browser_on_this_page_may(filled: Filled, client: Client) -> None:
    origin = {"Origin": str(client.make_url("")).rstrip("/")}
    sent = {**await form(client), "verb": "release", "reason": "let me"}
    assert (await client.post(ADDRESS, data=sent, headers=origin, allow_redirects=False)).status == 303


async def test_the_forms_cookie_is_of_no_use_to_scripts_or_other_sites(client: Client) -> None:
    cookie = (await client.get("/")).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("fields", [{"verb": "destroy"}, {"epoch": "-1"}, {"seq": "9" * 40}, {"verb": ""}])
async def test_a_form_that_makes_no_sense_is_refused(filled: Filled, client: Client, fields: dict[str, str]) -> None:
    sent = {**await form(client), "verb": "release", "reason": "let me", **fields}
    assert (await client.post(ADDRESS, data=sent, headers=FROM_HERE)).status == 400
    assert filled.decisions == []


@pytest.mark.parametrize(("verb", "action", "use"), [("once", "release", "once"), ("run", "release", "run"),
                                                     ("span", "release", "span"), ("deny", "kill", None)])  # fmt: skip
async def test_a_call_that_waits_at_a_gate_is_approved_or_denied(
    client: Client, filled: Filled, verb: str, action: str, use: str | None
) -> None:
    incident = held_call(filled)
    page = await (await client.get("/incidents/incident-dear")).text()
    assert "APPROVAL NEEDED: agent coder-7 at gate dear" in page
    assert "about $4.20 at most for this call" in page
    assert re.findall(r'name="verb" value="(\w+)"', page) == [
        "once", "run", "span", "deny", "acknowledge", "snooze",
    ]  # fmt: skip
    hidden = {n: unescape(v) for n, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)}

    sent = {**hidden, "verb": verb, "reason": "the migration needs it"}
    answer = await client.post("/incidents/incident-dear", data=sent, headers=FROM_HERE, allow_redirects=False)

    assert answer.status == 303
    (made,) = filled.decisions
    assert (made.action, made.use, made.scope, made.actor) == (action, use, incident.scope, "page:local")
