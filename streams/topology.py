"""The topics that an installation needs, from its settings."""

import logging

from streams.settings import Settings
from streams.state import changelog_of
from streams.topics import Report, TopicSpec, ensure_topics, topic_specs

NAMES = (
    *("decisions", "kills", "acks", "alerts", "incidents", "quarantine", "teams", "limits", "audit"),
    *("pulse", "spend"),
)

log = logging.getLogger(__name__)


def state_name(number: int) -> str:
    """Return the table's name of the events topic of that place in the configuration."""
    return "state" if number == 0 else f"state{number}"


def specs_of(settings: Settings) -> list[TopicSpec]:
    """Return what each topic of the installation must be like."""
    topics = settings.topics
    events = topics.event_topics
    return topic_specs(
        {what: topics.named(what) for what in NAMES},
        events,
        [changelog_of(settings.service.app_id, state_name(number)) for number in range(len(events))],
        partitions=topics.partitions,
        append_time=topics.timestamp_type == "append",
        retention_h=topics.retention_h,
    )


async def compare_topics(settings: Settings, *, create: bool) -> Report:
    """Compare the cluster's topics with what is needed, creating the missing ones if asked."""
    client = settings.kafka.client_kwargs()
    return await ensure_topics(client, specs_of(settings), replication=settings.topics.replication, create=create)


async def prepare_topics(settings: Settings) -> dict[str, int]:
    """Create the topics that are missing; return the number of partitions of each that exists."""
    report = await compare_topics(settings, create=settings.topics.create)
    for finding in report.findings:
        log.warning("%s", finding)
    return report.partitions
