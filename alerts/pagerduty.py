"""PagerDuty Events API v2: an incident's id is the dedup key, so a repeat changes nothing there."""

from typing import Any

from msgspec import json, to_builtins

from alerts.http import post_json
from alerts.incident import Status, severity
from alerts.markup import clean
from alerts.message import View, fallback
from alerts.published import alert
from alerts.sink import Place

SUMMARY_MAX = 1_024


def event(view: View, routing_key: str) -> dict[str, Any]:
    """Return the event that brings PagerDuty to the incident's state."""
    incident = view.incident
    asleep = incident.status in {Status.ACKNOWLEDGED, Status.SNOOZED}
    action = "resolve" if not incident.active or incident.parent else "acknowledge" if asleep else "trigger"
    told: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": incident.id}
    if action != "trigger":
        return told
    links = [(view.runbook_url, "Runbook"), (view.dashboard_url, "Dashboard")]
    return {
        **told,
        "client": "Brakeline",
        "payload": {
            "summary": fallback(view)[:SUMMARY_MAX],
            "source": clean(incident.scope)[:255],
            "severity": severity(incident),
            "group": clean(incident.evidence.team)[:255],
            "class": incident.detector,
            "custom_details": to_builtins(alert(view)),
        },
        "links": [{"href": url.replace("{incident}", incident.id), "text": text} for url, text in links if url],
    }


class PagerDuty:
    """A sink that pages. Tell it of critical incidents only, and of newer figures rarely."""

    def __init__(self, routing_key: str, base_url: str = "https://events.pagerduty.com") -> None:
        self.name = "pagerduty"
        self._routing_key = routing_key
        self._url = f"{base_url.rstrip('/')}/v2/enqueue"

    async def post(self, view: View) -> Place:
        """Trigger, acknowledge or resolve, as the incident is."""
        await post_json(self._url, json.encode(event(view, self._routing_key)), {})
        return Place("pagerduty", view.incident.id)

    async def update(self, place: Place, view: View) -> None:
        """Trigger, acknowledge or resolve, as the incident is."""
        await self.post(view)

    async def nudge(self, place: Place, view: View) -> None:
        """Trigger again: PagerDuty repeats by its own rules while nobody acknowledges."""
        await self.post(view)

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        """Not needed: the dedup key makes a repeat harmless."""
        return None
