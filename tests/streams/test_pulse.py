"""What the pages are told fits a record, can be read back, and is told again after a restart."""

from array import array

from feeding import T0_S, batch, engine, event
from msgspec import msgpack

from streams.engine import Engine
from streams.pulse import PIECE, Pulse, decode_hour, decode_pulse, hours_of, pulses_of, reopened
from streams.sightings import Sightings

RECORD_BYTES_MAX = 1_000_000


def watched() -> Engine:
    made = engine()
    made.sightings = Sightings()
    return made


def told(found: Engine) -> list[Pulse]:
    assert found.sightings is not None
    pulses = [decode_pulse(msgpack.encode(pulse)) for pulse in pulses_of("events/0", found.sightings, found.rows)]
    return [pulse for pulse in pulses if pulse is not None]


def test_an_agent_is_told_with_its_payer_and_its_minutes() -> None:
    found = watched()
    found.feed(batch([event(0, product="search"), event(1, T0_S + 61.0, product="search", environment="prod")]))

    (agents,) = [pulse.agents for pulse in told(found) if pulse.agents]
    assert [(a.agent, a.payer.team, a.payer.product, a.payer.environment) for a in agents] == [
        ("agent-1", "team-1", "search", "prod")
    ]
    assert sorted(agents[0].minutes) == [int(T0_S), int(T0_S) + 60]
    assert all(micro_usd > 0 for micro_usd in agents[0].minutes.values())
    assert told(found) == [], "what was told is not told again"


def test_calls_are_told_by_their_ids_with_whose_they_are() -> None:
    found = watched()
    found.feed(batch([event(n, cost_center=f"cc-{n}") for n in range(3)]))

    (calls,) = [pulse.calls for pulse in told(found) if pulse.calls.ids]
    assert calls.ids.split(b"\n") == [b"e0", b"e1", b"e2"]
    assert calls.payers[array("H", calls.payer)[2]].cost_center == "cc-2"
    assert array("I", calls.at_s)[2] == int(T0_S)


def test_what_was_judged_is_told_with_its_reason() -> None:
    found = watched()
    loop = [event(n, T0_S + 2.0 * n, run_id="r", step=n, prompt_hash="same") for n in range(200)]
    effects = found.feed(batch(loop))
    assert found.sightings is not None
    found.sightings.judged(effects.verdicts)

    spent = sum(call.micro_usd for ledger in [found.rows.agents["agent-1"].ledger] for call in ledger.minutes.values())
    scored = {score.scope: score for pulse in told(found) for score in pulse.scores}
    assert effects.decisions, "the loop is one that is noticed"
    assert scored[effects.decisions[0].scope].reason
    run = scored["run:r"]
    assert (run.agent, run.began_s) == ("agent-1", T0_S)
    assert 0 < run.spend_usd <= spent / 1e6


def test_open_minutes_are_told_again_after_a_restart() -> None:
    first, second = watched(), watched()
    rows = first.feed(batch([event(0)])).rows
    second.restore((key, value) for key, value in rows.items() if value is not None)
    assert second.sightings is not None
    reopened(second.sightings, second.rows)

    assert [agent.minutes for pulse in told(second) for agent in pulse.agents] == [
        agent.minutes for pulse in told(first) for agent in pulse.agents
    ]


def test_every_record_fits_however_long_the_names_are() -> None:
    found = watched()
    events = [
        event(
            n, agent=f"{n:06d}".ljust(128, "a"), team="t" * 128, product=f"{n}".ljust(256, "p"), user="u" * 256,
            environment="e" * 256, event_id=f"{n:06d}".ljust(128, "i"), cost_center="c" * 256, use_case="u" * 256,
            model="m" * 128,
        )
        for n in range(3 * PIECE)
    ]  # fmt: skip
    found.feed(batch(events, at_s=T0_S))
    hours = [
        part
        for hour_s in found.rows.attribution.hours_changed()
        for part in hours_of("events/0", found.rows.attribution, hour_s)
    ]

    pulses = pulses_of("events/0", found.sightings, found.rows) if found.sightings else []
    assert max(len(msgpack.encode(record)) for record in (*pulses, *hours)) < RECORD_BYTES_MAX
    assert sum(len(pulse.agents) for pulse in pulses) == 3 * PIECE
    assert sum(len(pulse.calls.payer) // 2 for pulse in pulses) == 3 * PIECE
    assert sum(len(hour.usage) for hour in hours) == 3 * PIECE


def test_a_record_that_cannot_be_read_is_nobodys_end() -> None:
    assert [decode_pulse(b"\xff"), decode_pulse(None), decode_hour(b"{}")] == [None, None, None]
