"""What each screen shows: the right scopes in the right order, on any page of any filter, and hostile names as text."""

import re
from array import array
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pages import Filled, agent, fleet, gateways, runaway

from alerts.decision import Action
from streams.attribution import Payer
from streams.engine import Engine
from streams.pulse import Calls
from streams.settings import Settings
from streams.windows import Usage

Client = TestClient  # type: ignore[type-arg]
HOSTILE = '<script>alert(1)</script>"onload="x'


@pytest.fixture
def filled() -> Filled:
    return Filled()


@pytest.fixture
async def client(filled: Filled) -> AsyncIterator[Client]:
    async with TestClient(TestServer(filled.app())) as made:
        yield made


async def text_of(client: Client, address: str) -> str:
    answer = await client.get(address)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def names(client: Client, address: str = "/") -> list[str]:
    return re.findall(r'<tr id="agent ([^"]+)"', await text_of(client, address))


async def test_agents_stand_by_what_they_burn_and_whoever_is_stopped_comes_first(
    filled: Filled, client: Client
) -> None:
    now_s = filled.now_s
    filled.pulse([agent("small", now_s, [0.01, 0.01]), agent("large", now_s, [5.0, 5.0])])
    runaway(filled, "coder-7")

    assert await names(client) == ["coder-7", "large", "small"]
    assert await names(client, "/?sort=name") == ["coder-7", "large", "small"]
    assert (await names(client, "/?sort=times"))[0] == "coder-7"


async def test_ten_thousand_agents_are_cut_into_pages_that_miss_and_repeat_nobody(
    filled: Filled, client: Client
) -> None:
    filled.pulse(fleet(10_000, filled.now_s))
    found = [name for page in range(1, 201) for name in await names(client, f"/?page={page}&sort=name")]
    assert len(found) == len(set(found)) == 10_000
    assert await names(client, "/?page=99999&sort=name") == found[-50:]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("team=a", {"one", "two"}),
        ("team=a&product=p", {"one"}),
        ("environment=staging", {"two"}),
        ("model=o3", {"three"}),
        ("q=TW", {"two"}),
        ("q=nobody", set()),
        ("state=stopped", {"three"}),
        ("state=nonsense", {"one", "two", "three"}),
        ("page=-1&sort=drop%20table", {"one", "two", "three"}),
    ],
)
async def test_filters_narrow_down(filled: Filled, client: Client, query: str, expected: set[str]) -> None:
    now_s = filled.now_s
    filled.pulse(
        [
            agent("one", now_s, [1.0], team="a", product="p", model="m", environment="prod"),
            agent("two", now_s, [1.0], team="a", product="q", model="m", environment="staging"),
        ]
    )
    runaway(filled, "three")
    filled.pulse([agent("three", now_s, [1.0], team="b", model="o3", environment="prod")])
    assert set(await names(client, f"/?{query}")) == expected


async def test_a_stopped_run_stops_its_agents_row_and_a_stopped_team_all_of_its(filled: Filled, client: Client) -> None:
    now_s = filled.now_s
    filled.pulse([agent("solo", now_s, [1.0], team="other"), agent("mate", now_s, [1.0], team="t")])
    runaway(filled, "runner", scope="run:4f1c")
    assert await names(client, "/?state=stopped") == ["runner"]
    runaway(filled, "x", scope="team:t", incident_id="of-a-team")
    filled.now_s += 2.0
    assert set(await names(client, "/?state=stopped")) == {"runner", "mate"}


async def test_teams_stand_by_their_sums(filled: Filled, client: Client) -> None:
    now_s = filled.now_s
    filled.pulse([agent(f"a{n}", now_s, [1.0, 1.0], team="a", usual="0.5") for n in range(3)])
    filled.pulse([agent("b", now_s, [9.0, 9.0], team="b")])
    text = await text_of(client, "/?show=teams")
    assert re.findall(r'<tr id="team ([^"]+)"', text) == ["b", "a"]
    assert "<b>$4.50</b>" in text, "three agents, a minute and a half in sixty seconds"
    runaway(filled, "x", scope="team:a", incident_id="of-a-team")
    filled.now_s += 2.0
    assert re.findall(r'<tr id="team ([^"]+)"', await text_of(client, "/?show=teams")) == ["a", "b", "research"]


async def test_a_scope_leads_to_what_happened_to_it_last(filled: Filled, client: Client) -> None:
    runaway(filled)
    answer = await client.get("/scopes/agent%3Acoder-7", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/incidents/incident-coder-7")
    assert (await client.get("/scopes/agent%3Anobody")).status == 404


async def test_shadow_mode_shows_what_would_have_been_done(filled: Filled, client: Client) -> None:
    runaway(filled, "coder-7", shadow=True)

    assert await names(client, "/?state=stopped") == []
    assert await names(client, "/?state=would") == ["coder-7"]
    assert "would kill" in await text_of(client, "/")
    settings = await text_of(client, "/settings")
    assert "<b>1</b> kill" in settings
    assert "a loop that makes no headway" in settings


async def test_the_incident_says_what_why_since_when_and_who_obeys(filled: Filled, client: Client) -> None:
    incident = runaway(filled)
    gateways(filled)
    filled.cover(incident, "obeyed by 3 of 4 in 180 ms")
    text = await text_of(client, "/incidents/incident-coder-7")

    for words in (
        "<h1>KILLED: agent coder-7</h1>", "a loop that makes no headway", "(66 times)",
        "obeyed by 3 of 4 in 180 ms", "gw-d", "not yet", "agent:coder-7@1.1", "in 59 min",
    ):  # fmt: skip
        assert words in text
    assert text.count("obeys</b>") == 3


async def test_the_chart_has_the_minutes_the_usual_band_and_the_marks(filled: Filled, client: Client) -> None:
    runaway(filled)
    drawn = await (await client.get("/incidents/incident-coder-7/chart")).json()

    assert len(drawn["at_s"]) == len(drawn["seen"])
    assert drawn["seen"][-3] == pytest.approx(1.32)
    assert drawn["seen"][-2] == pytest.approx(0.4 + 1.32 / 2), "of the last sixty seconds"
    assert drawn["seen"][-1] is None, "room for what is done in this minute"
    assert (drawn["usual"], drawn["peak"]) == (0.02, 0.08)
    assert [mark["label"] for mark in drawn["marks"]] == ["kill"]


async def test_the_chart_remembers_the_night_in_the_morning(filled: Filled, client: Client) -> None:
    runaway(filled)
    night_s = filled.now_s
    for minutes in range(1, 500):
        filled.now_s = night_s + 60.0 * minutes
        filled.pulse([agent("other", filled.now_s, [0.1, 0.1])])
        filled.histories.note(filled.board, filled.now_s)
    drawn = await (await client.get("/incidents/incident-coder-7/chart")).json()

    assert "coder-7" not in filled.board.agents.known, "the table has long forgotten it"
    assert max(value for value in drawn["seen"] if value is not None) == pytest.approx(1.32)
    assert drawn["at_s"][0] < night_s < drawn["marks"][0]["at_s"] + 1.0


async def test_unattributed_spend_is_shown_as_such_and_the_sum_is_whole(filled: Filled, client: Client) -> None:
    hour_s = int(filled.now_s) // 3600 * 3600
    paid = [
        (Payer("a", cost_center="cc-1", model="m"), Usage(3, 30, 3_000_000)),
        (Payer("a", model="m"), Usage(1, 10, 1_000_000)),
    ]
    filled.spend(hour_s, paid)
    filled.spend(hour_s, paid, shard="events/1")
    filled.spend(hour_s, paid)
    text = await text_of(client, "/spend?by=cost_center&span=hour")

    rows = re.findall(r'<th scope="row">([^<]+)</th><td class="c-num"><b>([^<]+)</b></td>', text)
    assert rows == [("cc-1", "$6.00"), ("unattributed", "$2.00"), ("All", "$8.00")], "a repeat counts once"
    assert "25.0 %" in text


async def test_a_call_is_found_by_its_id(filled: Filled, client: Client) -> None:
    calls = Calls(
        [Payer("a", cost_center="cc-1"), Payer("b", cost_center="cc-2")], b"e0\ne1",
        array("H", [0, 1]).tobytes(), array("I", [int(filled.now_s)] * 2).tobytes(), array("Q", [4_200] * 2).tobytes(),
    )  # fmt: skip
    filled.pulse([], calls=calls)

    assert "<dd><b>cc-2</b></dd>" in await text_of(client, "/spend?event=e1")
    assert "No call of that id" in await text_of(client, "/spend?event=e2")


async def test_gateways_that_are_silent_are_called_so(filled: Filled, client: Client) -> None:
    runaway(filled)
    gateways(filled, stale=2)
    text = await text_of(client, "/gateways")
    assert text.count(">silent<") == 2
    assert text.count(">live</span>") >= 2


async def test_secrets_are_never_shown(filled: Filled) -> None:
    settings = Settings.model_validate(
        {
            "slack": {"token": "xoxb-secret", "channel": "C1", "signing_secret": "s-secret"},
            "webhooks": [{"url": "https://u:pw-secret@hooks.example.com/T0/secret", "secret": "w-secret"}],
            "pagerduty": {"routing_key": "p-secret"},
        }
    )
    async with TestClient(TestServer(filled.app(settings))) as client:
        text = await text_of(client, "/settings")
    assert "secret" not in text.replace("signing_secret", "").replace("webhooks.0.secret", "")
    assert "https://hooks.example.com/…" in text


async def test_hostile_names_are_text_everywhere(filled: Filled, client: Client) -> None:
    now_s = filled.now_s
    filled.pulse([agent(HOSTILE, now_s, [1.0], team=HOSTILE, product=HOSTILE, environment=HOSTILE, model=HOSTILE)])
    incident = runaway(filled, HOSTILE, reason=HOSTILE, incident_id="hostile", shadow=True)
    filled.cover(incident, HOSTILE)
    hour_s = int(now_s) // 3600 * 3600
    filled.spend(hour_s, [(Payer(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), Usage(1, 1, 1))])
    filled.ack(HOSTILE, now_s, 1)
    query = "?q=%3Cscript%3E&team=%22%3E%3Cscript%3E&event=%3Cscript%3E&by=%3Cscript%3E"
    for path in ("/", "/incidents", "/incidents/hostile", "/commands", "/gateways", "/spend", "/settings"):
        for address in (path, path + query):
            text = await text_of(client, address)
            assert "<script>" not in text
            assert 'onload="x"' not in text
            assert not re.search(r"\s(style|on\w+)=", text), "the policy forbids what is inline"


async def test_the_live_part_is_the_same_as_the_page_and_comes_again_when_it_changes(
    filled: Filled, client: Client
) -> None:
    filled.pulse([agent("one", filled.now_s, [1.0])])
    async with client.get("/live/") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        first = await stream.content.readuntil(b"\n\n")
        assert b'<tr id="agent one"' in first
        assert b"<html" not in first
        runaway(filled, "coder-7")
        filled.now_s += 2.0
        assert b'<tr id="agent coder-7"' in await stream.content.readuntil(b"\n\n")


async def test_an_incident_that_is_forgotten_meanwhile_is_said_to_be(filled: Filled, client: Client) -> None:
    runaway(filled)
    async with client.get("/live/incidents/incident-coder-7") as stream:
        await stream.content.readuntil(b"\n\n")
        filled.board.take("incidents", b"incident-coder-7", None, filled.now_s)
        assert b"no such incident" in await stream.content.readuntil(b"\n\n")


async def test_what_holds_the_service_back_is_said_on_top(filled: Filled, client: Client) -> None:
    filled.now_s += 60.0
    assert "No worker commands since" in await text_of(client, "/")
    filled.board.read.complete = False
    assert "still reading" in await text_of(client, "/incidents")


def test_what_a_shard_tells_is_what_the_page_shows() -> None:
    """From an engine's events to a row, through the wire."""
    from feeding import T0_S, batch, engine, event
    from msgspec import msgpack

    from streams.pulse import pulses_of
    from streams.sightings import Sightings

    judged: Engine = engine()
    judged.sightings = Sightings()
    judged.feed(batch([event(n, T0_S + n, product="p", model="gpt-4o") for n in range(30)]))
    filled = Filled(T0_S + 30.0)
    for pulse in pulses_of("events/0", judged.sightings, judged.rows):
        filled.board.take("pulse", None, msgpack.encode(pulse), filled.now_s)

    agents = filled.board.agents
    spent = sum(usage.micro_usd for table in judged.rows.attribution.hours.values() for usage in table.values())
    assert agents.usd_per_min(filled.now_s)["agent-1"] == pytest.approx(spent / 1e6)
    assert agents.known["agent-1"].payer.product == "p"
    found = filled.board.calls.find("e7")
    assert found is not None
    assert found.payer.model == "gpt-4o"


def test_an_action_that_is_only_observed_is_no_shadow_decision() -> None:
    filled = Filled()
    runaway(filled, action=Action.WARN, shadow=False)
    assert [d.shadow for d in filled.board.decisions] == [False]
