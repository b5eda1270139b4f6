"""What is kept of a bad record: enough to find it, nothing that a prompt said."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from streams.effects import Quarantined
from streams.quarantine import QuarantineGate, record_of, redact
from streams.records import RecordBatch

SECRET = "the launch code is 0000"


@given(st.text(max_size=200), st.text(max_size=50))
def test_text_of_unknown_fields_is_never_kept(text: str, key: str) -> None:
    value = json.encode({"agent": "a-1", f"x{key}": SECRET + text, "messages": [{"content": SECRET}]})

    assert SECRET.encode() not in redact(value)


def test_a_record_names_its_place_and_reason() -> None:
    batch = RecordBatch("events", 3, [7], [0], [b'{"agent": "a-1"}'])

    kept = json.decode(record_of(batch, Quarantined(7, "malformed", "no event_id", b'{"agent": "a-1"}')))

    assert (kept["topic"], kept["partition"], kept["offset"], kept["reason"]) == ("events", 3, 7, "malformed")
    assert len(kept["sha256"]) == 64
    assert len(kept["sample"]) <= 1024


def test_a_flood_is_written_up_to_the_limit_each_minute() -> None:
    gate = QuarantineGate(per_minute=5)
    flood = [Quarantined(n, "malformed", "", b"") for n in range(50)]

    assert len(list(gate.admit(flood, 0.0))) == 5
    assert len(list(gate.admit(flood, 60.0))) == 5
    assert gate.withheld == 90
