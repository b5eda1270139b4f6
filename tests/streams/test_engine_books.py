"""The books balance, whatever is sent: each row of the table of bad input, and what becomes of it."""

from typing import Any

import pytest
from feeding import T0_S, batch, engine, event

from alerts.decision import Action

GOOD = event(0)

BAD: list[tuple[str, Any, str]] = [
    ("bad UTF-8", b'{"event_id": "\xff"}', "malformed"),
    ("truncated", b'{"event_id": "a', "malformed"),
    ("byte order mark", b"\xef\xbb\xbf{}", "malformed"),
    ("trailing bytes", b"{} {}", "malformed"),
    ("lone surrogate", b'{"event_id": "\\ud800"}', "malformed"),
    ("nested too deep", b'{"x": ' + b"[" * 100_000, "malformed"),
    ("nested too deep in an array", b"[" * 100_000, "malformed"),
    ("10 MB", b'{"event_id": "' + b"a" * 10_000_000 + b'"}', "too_large"),
    ("NaN", b'{"ts": NaN}', "malformed"),
    ("1e999", b'{"ts": 1e999}', "malformed"),
    ("negative tokens", event(1, input_tokens=-1), "malformed"),
    ("2^63 tokens", event(1, input_tokens=2**63), "malformed"),
    ("tokens as text", event(1, input_tokens="5"), "malformed"),
    ("tokens as boolean", event(1, input_tokens=True), "malformed"),
    ("more cached than sent", event(1, cached_tokens=2000), "bad_tokens"),
    ("1970", event(1, ts=0.0), "bad_ts"),
    ("2262", event(1, ts=9.2e9), "bad_ts"),
    ("milliseconds", event(1, ts=T0_S * 1000), "bad_ts"),
    ("25 hours old", event(1, ts=T0_S - 25 * 3600), "bad_ts"),
    ("6 minutes ahead", event(1, ts=T0_S + 360), "bad_ts"),
    ("no agent", event(1, agent=""), "no_agent"),
    ("agent left out", event(1, agent=...), "malformed"),
    ("newline in a name", event(1, agent="a\nb"), "bad_name"),
    ("newline at the end of a name", event(1, agent="a\n"), "bad_name"),
    ("confusable letter", event(1, agent="\u0430gent"), "bad_name"),
    ("name of 100 kB", event(1, team="t" * 100_000), "bad_name"),
    ("unknown status", event(1, status="fine"), "bad_status"),
    ("null value", None, "null_value"),
    ("not an object", b"5", "malformed"),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD, ids=[row[0] for row in BAD])
def test_what_cannot_be_used_is_quarantined_with_its_reason(name: str, value: Any, reason: str) -> None:
    effects = engine().feed(batch([value], at_s=T0_S))

    assert [q.reason for q in effects.quarantined] == [reason]
    assert effects.counts.balance()


def test_the_books_balance_over_good_bad_late_and_repeated_events() -> None:
    late = event(2, T0_S - 3600)
    values = [GOOD, GOOD, late, event(0, model="gpt-4.1"), *[row[1] for row in BAD]]

    counts = engine().feed(batch(values, at_s=T0_S)).counts

    assert counts.balance()
    assert (counts.accepted, counts.duplicate, counts.late) == (1, 1, 1)
    assert counts.quarantined["id_conflict"] == 1
    assert counts.consumed == len(values)


def test_one_bad_event_of_an_array_does_not_cost_the_others() -> None:
    from msgspec import json

    record = json.encode([event(1), event(2, input_tokens=-1), event(3)])

    effects = engine().feed(batch([record], at_s=T0_S))

    assert (effects.counts.accepted, effects.counts.quarantined.total()) == (2, 1)


def test_a_late_call_is_counted_and_never_judged() -> None:
    job = engine()

    effects = job.feed(batch([event(1), event(2, T0_S - 7200, input_tokens=10**8)], at_s=T0_S))

    hour = int(T0_S - 7200) // 3600 * 3600
    assert job.rows.agents["agent-1"].ledger.hour_total(hour).calls == 1
    assert effects.decisions == []


def test_agents_beyond_the_cap_are_counted_together_and_not_judged() -> None:
    job = engine(agents_max=2)

    effects = job.feed(batch([event(n, agent=f"a{n}") for n in range(5)], at_s=T0_S))

    assert (effects.counts.accepted, effects.overflows) == (5, 3)
    assert sorted(job.rows.agents) == ["a0", "a1"]


def test_of_agents_that_fall_silent_those_that_are_stopped_are_kept() -> None:
    job = engine(agents_max=50_000, agent_idle_s=3_600.0)
    job.feed(batch([event(n, agent=f"random-{n}") for n in range(2_000)], at_s=T0_S))
    job.sentence.control("agent:random-7", Action.KILL, T0_S, None, planned=False)

    job.feed(batch([event(2_000, T0_S + 7_300, agent="a-late-one")], first=2_000))

    assert sorted(job.rows.agents) == ["a-late-one", "random-7"]


def test_an_unknown_model_never_costs_nothing() -> None:
    job = engine()

    effects = job.feed(batch([event(1, model="nobody-knows-1")], at_s=T0_S))

    assert effects.unknown_models == {"nobody-knows-1"}
    assert job.rows.agents["agent-1"].ledger.minutes[int(T0_S)].micro_usd == 1000 * 15 + 100 * 75
