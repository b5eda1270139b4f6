"""The settings: one YAML file, checked to the last key.

`load(path)` gives `Settings` or raises `SettingsError`, whose text names file, line, field, value and mend.
"""

from streams.settings.kafka import Kafka, Security, Topics
from streams.settings.loading import load
from streams.settings.parts import Limit, Logs, Price, Prices, Service
from streams.settings.people import Keys, PagerDuty, Role, Slack, Webhook
from streams.settings.policy import BlastRadius, Floors, Mode, Override, Policy
from streams.settings.problems import Problem, SettingsError
from streams.settings.published import schema
from streams.settings.root import Parameters, Settings

__all__ = [
    "BlastRadius",
    "Floors",
    "Kafka",
    "Keys",
    "Limit",
    "Logs",
    "Mode",
    "Override",
    "PagerDuty",
    "Parameters",
    "Policy",
    "Price",
    "Prices",
    "Problem",
    "Role",
    "Security",
    "Service",
    "Settings",
    "SettingsError",
    "Slack",
    "Topics",
    "Webhook",
    "load",
    "schema",
]
