"""The compiled core reads an event by place; the places are the wire form's."""

from msgspec.structs import astuple

from streams.event import Event
from streams.events import TokenEvent


def test_each_field_of_an_event_is_the_one_of_that_name() -> None:
    names = TokenEvent.__struct_fields__
    numbers = ("ts", "latency_ms", "cost_usd")
    values = {name: f"<{name}>" for name in names} | {name: float(n) for n, name in enumerate(numbers)}
    values |= {name: n for n, name in enumerate(names) if name.endswith("tokens") or name in ("step", "tool_calls")}
    token = TokenEvent(**values)

    event = Event(astuple(token))

    renamed = {"run_id": "run", "parent_run_id": "parent_run"}
    read = {name: getattr(event, renamed.get(name, name)) for name in names if hasattr(event, renamed.get(name, name))}
    assert len(read) == 20
    assert read == {name: values[name] for name in read}
    assert event.latency_s == token.latency_ms / 1000
