"""All settings of one installation."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from streams.settings.gates import Gate
from streams.settings.kafka import Kafka, Topics
from streams.settings.notify import Notify
from streams.settings.page import Page
from streams.settings.parts import Limit, Logs, Prices, Service
from streams.settings.people import Keys, PagerDuty, Role, Slack, Webhook
from streams.settings.policy import Mode, Policy
from streams.settings.section import Section, Url

Parameters = Mapping[str, bool | int | float | str]


class Settings(Section):
    """The whole file. Everything has a default that is safe: a new installation only watches (`mode: shadow`)."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    service: Service = Service()
    mode: Mode = "shadow"
    """`shadow` says what it would have done; `armed` does it."""
    policy: Policy = Policy()
    detectors: Mapping[str, Parameters] = Field(default_factory=dict)
    """Parameters that differ from a detector's own; `enabled: false` switches it off."""
    limits: tuple[Limit, ...] = ()
    gates: tuple[Gate, ...] = ()
    """Calls that wait for a person's approval."""
    prices: Prices = Prices()
    protected: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Globs over `kind:id` that are never stopped by a detector, only warned about."""
    keys: Keys = Keys()
    slack: Slack = Slack()
    slack_users: Mapping[str, Role] = Field(default_factory=dict)
    """Slack user or user group id -> role."""
    webhooks: tuple[Webhook, ...] = ()
    pagerduty: PagerDuty | None = None
    notify: Notify = Notify()
    runbook_url: Url | None = None
    dashboard_url: Url | None = None
    page: Page = Page()
    logs: Logs = Logs()

    @field_validator("gates")
    @classmethod
    def _names_are_unique(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        names = [gate.name for gate in gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two gates are named {', '.join(twice)}; give each a name of its own")
        return gates
