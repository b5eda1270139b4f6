"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest
from real_kafka import real_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Apache Kafka, one for the session; use topics and groups of your own."""
    with real_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap
