"""The embedded broker."""

import builtins
from typing import Any

import pytest

from streams import broker
from streams.broker import EmbeddedBrokerError, embedded_broker
from streams.topics import TopicSpec, ensure_topics


async def test_it_answers_and_creates_topics_when_asked() -> None:
    pytest.importorskip("confluent_kafka")
    with embedded_broker() as bootstrap:
        report = await ensure_topics({"bootstrap_servers": bootstrap}, [TopicSpec("events", 8)])

    assert report.created == ["events"]
    assert report.partitions == {"events": 4}


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "confluent_kafka":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)

    assert broker.main() == 1
    assert "brakeline[embedded]" in capsys.readouterr().out


def test_a_child_that_ends_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(EmbeddedBrokerError, match="before it was ready"), embedded_broker():
        pass
