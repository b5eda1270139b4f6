"""How a transport ends a response whose caller was stopped: in the stream's own way where that can be understood."""

from collections.abc import Iterator

import httpx
import httpx2
import pytest

from alerts.gateway import httpx as first
from alerts.gateway import httpx2 as second
from alerts.gateway.fake import FakeGateway
from alerts.gateway.gate import Gate
from alerts.gateway.identity import Identity


class Chunks(httpx.SyncByteStream):
    """Gives a chunk after another; the caller is stopped after the first."""

    def __init__(self, gateway: FakeGateway, *chunks: bytes) -> None:
        self.gateway, self.chunks, self.closed = gateway, chunks, False

    def __iter__(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self.chunks):
            if number == 1:
                self.gateway.kill("agent:a", "enough")
            yield chunk

    def close(self) -> None:
        self.closed = True


def received(*chunks: bytes, **headers: str) -> tuple[list[bytes], Chunks]:
    gateway = FakeGateway()
    body = Chunks(gateway, *chunks)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    inner = httpx.MockTransport(lambda _: httpx.Response(200, headers=given, stream=body))
    transport = first.Brakes(Gate(gateway.guard, clock=gateway.clock), Identity(agent="a"), inner)
    with httpx.Client(transport=transport) as client, client.stream("GET", "http://provider.test/") as response:
        return list(response.iter_raw()), body


def test_between_two_events_the_last_word_is_an_event() -> None:
    got, body = received(
        b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", content_type="text/event-stream; charset=utf-8"
    )
    assert got[0] == b"data: 0\n\n"
    assert got[1].startswith(b'event: error\ndata: {"error":{"type":"agent_killed","code":"agent_killed"')
    assert len(got) == 2
    assert body.closed


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ((b"data: 0\n\ndata: ha", b"lf\n\n"), {"content_type": "text/event-stream"}),
        ((b"\x1f\x8b\n\n", b"more"), {"content_type": "text/event-stream", "content_encoding": "gzip"}),
        ((b'{"half": ', b"1}"), {"content_type": "application/json"}),
    ],
    ids=["an event is half out", "compressed", "no events"],
)
def test_where_no_event_would_be_understood_an_exception_names_the_command(
    chunks: tuple[bytes, ...], headers: dict[str, str]
) -> None:
    with pytest.raises(first.StoppedError, match="enough") as stopped:
        received(*chunks, **headers)
    assert stopped.value.answer.command is not None
    assert stopped.value.answer.command.scope == "agent:a"


def test_the_exception_is_one_that_callers_of_the_library_handle() -> None:
    assert issubclass(first.StoppedError, httpx.ReadError)
    assert issubclass(second.StoppedError, httpx2.ReadError)
