"""Where clicks in Slack come in, on every worker: by signed HTTP, and by Socket Mode where this one commands."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web

from alerts.desk import Desk, NotReadyError
from alerts.incident import Incident
from alerts.roles import Roles
from alerts.slack import Ear
from alerts.slack_http import Handler, slack_actions
from streams.notifier import Notifier
from streams.office import office_of
from streams.outlet import Outlet
from streams.people import Clock, People
from streams.settings import Settings
from streams.web.board import Board


class Hearing:
    """The desk for Slack's clicks. `notifier` answers None while another worker commands: then the board knows."""

    def __init__(
        self,
        settings: Settings,
        people: People,
        notifier: Callable[[], Notifier | None],
        board: Board,
        outlet: Outlet,
        named: dict[str, str],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._notifier = notifier
        self._board = board
        self._clock = clock
        self._granted = dict(settings.slack_users)
        self._commands = False
        self._listening: asyncio.Task[None] | None = None
        roles = Roles(self._granted, people.group_members, clock)
        self._desk = Desk(office_of(self._lookup, outlet, named, roles.role_of), people, clock)
        self._signed = self._handler()

    def reconfigure(self, settings: Settings) -> None:
        """Hear as these settings say, and let those click whom they name."""
        before, self._settings = self._settings.slack, settings
        self._granted.clear()
        self._granted.update(settings.slack_users)
        if before.signing_secret != settings.slack.signing_secret:
            self._signed = self._handler()
        if self._commands and before != settings.slack:
            self.stop()
            self.listen()

    def listen(self) -> None:
        """Begin to hear clicks by Socket Mode, once there is a token for it."""
        self._commands = True
        slack = self._settings.slack
        if slack.app_token is not None and slack.token is not None:
            ear = Ear(slack.app_token.get_secret_value(), self._desk.handle, base_url=str(slack.base_url))
            self._listening = asyncio.create_task(ear.run())

    def stop(self) -> None:
        """Hear no more by Socket Mode."""
        self._commands = False
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /slack/actions`; 404 where no `slack.signing_secret` is set."""
        return web.Response(status=404) if self._signed is None else await self._signed(request)

    def _handler(self) -> Handler | None:
        secret = self._settings.slack.signing_secret
        return None if secret is None else slack_actions(self._desk, secret.get_secret_value(), self._clock)

    def _lookup(self, name: str) -> tuple[Incident, Sequence[Incident]] | None:
        keeper = self._notifier()
        if keeper is not None:
            incident = keeper.book.find(name)
            return None if incident is None else (incident, keeper.book.members(incident.id))
        found = self._board.lookup(name)
        if found is None and not self._board.read.complete:
            raise NotReadyError("This worker has just started and still reads what happened: press again in a moment.")
        return found
