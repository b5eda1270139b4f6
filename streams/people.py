"""Who is told of incidents, and who may answer: routes to people, and their clicks on the way back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from msgspec import json

from alerts.decision import Decision
from alerts.desk import Audited, Desk, Office
from alerts.incident import Act, Incident
from alerts.notices import Telling
from alerts.pagerduty import PagerDuty
from alerts.roles import Roles
from alerts.sink import LogSink
from alerts.slack import Ear, Slack
from alerts.slack_http import slack_actions
from alerts.webhook import Webhook
from streams import audit
from streams.charts import History, charting
from streams.notifier import Notifier, Route
from streams.outlet import Message, Outlet
from streams.settings import Settings

Clock = Callable[[], float]
SLACK_PACE_S = 1.0
PAGER_REFRESH_S = 900.0


class People:
    """The ways out to people and the way back in. Without a Slack token incidents are logged."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        slack = settings.slack
        self._granted = dict(settings.slack_users)
        self.slack: Slack | None = None
        if slack.token is not None and slack.channel is not None:
            self.slack = Slack(slack.token.get_secret_value(), slack.channel, base_url=str(slack.base_url))

    @property
    def chat_name(self) -> str:
        """Name of the sink that speaks to people in a channel."""
        return "log" if self.slack is None else self.slack.name

    def reconfigure(self, settings: Settings) -> None:
        """Grant the roles that these settings grant; the ways to people stay as they are."""
        self._granted.clear()
        self._granted.update(settings.slack_users)

    def routes(self, history: History | None = None) -> list[Route]:
        """Return the sinks that the settings name; `history` is what Slack's charts are drawn from."""
        routes = [Route(LogSink())]
        if self.slack is not None:
            posted = None if history is None else charting(self.slack, history)
            routes = [Route(self.slack, pace_s=SLACK_PACE_S, posted=posted)]
        for number, hook in enumerate(self._settings.webhooks):
            secret = hook.secret.get_secret_value() if hook.secret else ""
            routes.append(Route(Webhook(f"webhook:{number}", str(hook.url), secret, self._clock)))
        pager = self._settings.pagerduty
        if pager is not None:
            sink = PagerDuty(pager.routing_key.get_secret_value(), str(pager.base_url))
            routes.append(Route(sink, Telling(least="critical", refresh_s=PAGER_REFRESH_S)))
        return routes

    def desk(
        self, notifier: Callable[[], Notifier | None], outlet: Outlet, decisions: str, audit_topic: str
    ) -> Desk | None:
        """Return where clicks are handled; None without Slack. `notifier` is None while another worker commands."""
        if self.slack is None:
            return None

        def lookup(name: str) -> tuple[Incident, Sequence[Incident]] | None:
            keeper = notifier()
            incident = None if keeper is None else keeper.book.find(name)
            return None if keeper is None or incident is None else (incident, keeper.book.members(incident.id))

        async def decide(decision: Decision) -> None:
            await outlet.send([Message(decisions, decision.scope.encode(), json.encode(decision), 0)])

        async def act(what: Act) -> bool:
            keeper = notifier()
            return keeper is not None and await keeper.acted(what)

        async def note(line: Audited) -> None:
            await audit.note(outlet, audit_topic, line)

        roles = Roles(self._granted, self.slack.group_members, self._clock)
        return Desk(Office(lookup, decide, act, note, roles.role_of), self.slack, self._clock)

    def listen(self, desk: Desk) -> "asyncio.Task[None] | None":
        """Begin to hear clicks by Socket Mode, if there is a token for it."""
        token = self._settings.slack.app_token
        if token is None:
            return None
        ear = Ear(token.get_secret_value(), desk.handle, base_url=str(self._settings.slack.base_url))
        return asyncio.create_task(ear.run())

    def handler(self, desk: Desk) -> Callable[[web.Request], Awaitable[web.StreamResponse]] | None:
        """Return the handler of signed HTTP clicks, if there is a secret for it."""
        secret = self._settings.slack.signing_secret
        return None if secret is None else slack_actions(desk, secret.get_secret_value(), self._clock)
