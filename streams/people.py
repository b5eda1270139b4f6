"""Who is told of incidents, as the settings in force say it: Slack or the log, webhooks, the pager."""

from collections.abc import Callable, Mapping
from typing import Any

from alerts.notices import QuietHours, Repeats, Telling
from alerts.pagerduty import PagerDuty
from alerts.sink import LogSink, NotSent, Sink
from alerts.slack import Slack
from alerts.webhook import Webhook
from streams.charts import History, charting
from streams.notifier import Route
from streams.settings import Settings
from streams.settings.notify import WEEK, Notify
from streams.settings.section import Section

Clock = Callable[[], float]
SLACK_PACE_S = 1.0
PAGER_REFRESH_S = 900.0


class People:
    """The ways out to people. Without a Slack token incidents are logged. `history` is what charts are drawn from."""

    def __init__(self, settings: Settings, clock: Clock, history: History) -> None:
        self._settings = settings
        self._clock = clock
        self._history = history
        self._log = LogSink()
        self._sinks: dict[tuple[str, Section], Sink] = {}
        self.slack: Slack | None = None
        self.reconfigure(settings)

    @property
    def chat_name(self) -> str:
        """Name of the sink whose failures are Slack's."""
        return "log" if self.slack is None else self.slack.name

    def reconfigure(self, settings: Settings) -> None:
        """Tell people as these settings say; a sink whose settings are the same stays what it is."""
        wanted = self._wanted(settings)
        self._sinks = {key: self._sinks.get(key) or make() for key, make in wanted.items()}
        self._settings = settings
        self.slack = next((sink for sink in self._sinks.values() if isinstance(sink, Slack)), None)

    def _wanted(self, settings: Settings) -> dict[tuple[str, Section], Callable[[], Sink]]:
        found: dict[tuple[str, Section], Callable[[], Sink]] = {}
        slack, pager = settings.slack, settings.pagerduty
        if slack.token is not None and slack.channel is not None:
            token, channel, address = slack.token.get_secret_value(), slack.channel, str(slack.base_url)
            found["slack", slack] = lambda: Slack(token, channel, base_url=address)
        for number, hook in enumerate(settings.webhooks):
            name, url = f"webhook:{number}", str(hook.url)
            secret = hook.secret.get_secret_value() if hook.secret else ""
            found[name, hook] = lambda name=name, url=url, secret=secret: Webhook(  # type: ignore[misc]
                name, url, secret, self._clock
            )
        if pager is not None:
            found["pager", pager] = lambda: PagerDuty(pager.routing_key.get_secret_value(), str(pager.base_url))
        return found

    def routes(self) -> list[Route]:
        """Return the sinks that the settings name, and how each is told."""
        telling = telling_of(self._settings.notify)
        routes = [] if self.slack is not None else [Route(self._log, telling)]
        for sink in self._sinks.values():
            match sink:
                case Slack():
                    routes.append(Route(sink, telling, SLACK_PACE_S, charting(sink, self._history)))
                case PagerDuty():
                    milder = telling_of(self._settings.notify, least="critical", refresh_s=PAGER_REFRESH_S)
                    routes.append(Route(sink, milder))
                case _:
                    routes.append(Route(sink, Telling(repeats=telling.repeats)))
        return routes

    # What the desk needs of Slack, whichever it is by now

    async def open_modal(self, trigger_id: str, modal: Mapping[str, Any]) -> None:
        """Open a dialog."""
        await self._talking().open_modal(trigger_id, modal)

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Tell one person something."""
        await self._talking().whisper(channel, user, text)

    async def group_members(self, usergroup: str) -> frozenset[str]:
        """Return the users of a group."""
        return await self._talking().group_members(usergroup)

    def _talking(self) -> Slack:
        if self.slack is None:
            raise NotSent("Slack is no longer in the settings")
        return self.slack


def telling_of(notify: Notify, **more: Any) -> Telling:
    """Return how these settings want people to be told.

    >>> telling_of(Notify.model_validate({"quiet_hours": [{"start": "21:30"}]})).quiet[0].start_min
    1290
    """
    quiet = tuple(
        QuietHours(
            start_min=_minutes(hours.start),
            end_min=_minutes(hours.end),
            zone=hours.zone,
            days=frozenset(map(WEEK.index, hours.days)),
            hold=frozenset(hours.hold),
        )
        for hours in notify.quiet_hours
    )
    return Telling(quiet=quiet, repeats=Repeats(**notify.repeat_s.model_dump()), **more)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
