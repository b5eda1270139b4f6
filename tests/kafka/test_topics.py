"""Topics on a real broker."""

import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.topics import TopicSpec, ensure_topics, topic_specs
from streams.topology import NAMES

pytestmark = pytest.mark.kafka


async def test_missing_topics_are_created_once_with_their_settings(kafka: str) -> None:
    prefix, client = f"test-{uuid.uuid4().hex[:8]}", {"bootstrap_servers": kafka}
    named = {what: f"{prefix}.{what}" for what in NAMES}
    specs = topic_specs(named, [f"{prefix}.events"], [f"{prefix}-state-changelog"], partitions=3)

    first, second = await ensure_topics(client, specs), await ensure_topics(client, specs)

    assert set(first.created) == {spec.name for spec in specs}
    assert first.findings == []
    assert second.created == second.findings == []
    assert second.partitions[f"{prefix}-state-changelog"] == second.partitions[f"{prefix}.teams"] == 3
    assert second.partitions[f"{prefix}.kills"] == 1


async def test_another_shape_is_a_finding_and_the_state_follows_the_events(kafka: str) -> None:
    prefix, client = f"test-{uuid.uuid4().hex[:8]}", {"bootstrap_servers": kafka}
    events, state, kills = f"{prefix}.given", f"{prefix}-state-changelog", f"{prefix}.kills"
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    create_time = {"message.timestamp.type": "CreateTime"}
    await admin.create_topics([NewTopic(events, 5, 1, topic_configs=create_time), NewTopic(kills, 2, 1)])
    await admin.close()
    specs = [
        TopicSpec(events, 8, given=True),
        TopicSpec(state, 8, compacted=True, like=events),
        TopicSpec(kills, compacted=True),
    ]

    report = await ensure_topics(client, specs)

    assert report.created == [state]
    assert report.partitions[state] == 5
    assert report.findings == [
        f"topic {events} has message.timestamp.type=CreateTime, and should have LogAppendTime",
        f"topic {kills} has 2 partitions, and must have 1",
        f"topic {kills} has cleanup.policy=delete, and should have compact",
    ]


async def test_without_create_a_missing_topic_is_a_finding(kafka: str) -> None:
    report = await ensure_topics({"bootstrap_servers": kafka}, [TopicSpec("nowhere")], create=False)

    assert report.findings == ["topic nowhere does not exist"]
