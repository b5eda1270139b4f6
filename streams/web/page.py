"""The page's addresses: who may ask, what is answered, and how it is kept up to date."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import Struct, json

from alerts.desk import Audited, Desk
from streams.web import assets
from streams.web.access import Access, Person
from streams.web.actions import click_of
from streams.web.board import Board
from streams.web.drawing import chart
from streams.web.histories import Histories
from streams.web.live import Streams
from streams.web.oidc import Denied
from streams.web.rendering import Renderer
from streams.web.safety import FIELD, HEADERS, forged, keep_token, token_of
from streams.web.screens import Ask, Missing, Screens
from streams.web.words import path_of

log = logging.getLogger(__name__)

Answer = Callable[[web.Request, Person], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Context = Callable[[Ask], dict[str, Any]]


class Screen(Struct, frozen=True):
    """One screen: `path` is its address, `part` the template of what changes by itself."""

    path: str
    part: str
    title: str
    context: Context


class Page:
    """Mounts the screens on the service's web application."""

    def __init__(
        self,
        board: Board,
        screens: Screens,
        histories: Histories,
        access: Access,
        desk: Desk,
        audit: Callable[[Audited], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._board = board
        self._screens = screens
        self._access: Access | None = access
        self._desk = desk
        self._audit = audit
        self._clock = clock
        self._render = Renderer()
        self._streams = Streams()
        self._histories = histories

    def open_to(self, access: Access | None) -> None:
        """Let in whom `access` lets in from now on; without one nothing is there."""
        self._access = access
        self._streams.cut()

    def mount(self, app: web.Application) -> None:
        """Add the page's addresses."""
        screens = self._screens
        for screen in (
            Screen("/", "agents.html", "Agents", screens.agents),
            Screen("/incidents", "incidents.html", "Incidents", screens.incidents),
            Screen("/incidents/{name}", "incident.html", "Incident", screens.incident),
            Screen("/commands", "commands.html", "Commands", screens.commands),
            Screen("/gateways", "gateways.html", "Gateways", screens.gateways),
            Screen("/spend", "spend.html", "Spend", screens.spend),
            Screen("/settings", "settings.html", "Settings", screens.settings),
        ):
            app.router.add_get(screen.path, self._guarded(self._whole(screen)))
            app.router.add_get("/live" + screen.path, self._guarded(self._stream(screen)))
        app.router.add_get("/incidents/{name}/chart", self._guarded(self._chart))
        app.router.add_post("/incidents/{name}", self._guarded(self._press))
        app.router.add_get("/scopes/{name}", self._guarded(self._scope))
        app.router.add_get("/static/{mark}/{name:.+}", assets.serve)
        app.on_shutdown.append(self._streams.end)

    def _guarded(self, answer: Answer) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self._access is None:
                return web.Response(status=404, text="The page is switched off (page.enabled).")
            try:
                person = await self._access.person(request)
                response = await answer(request, person)
            except Denied as error:
                response = self._sorry(403, "You can't see this page", str(error))
            except Missing as error:
                response = self._sorry(404, "Not here", str(error))
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return handle

    def _sorry(self, status: int, title: str, why: str) -> web.Response:
        text = self._render("sorry.html", {"title": title, "why": why})
        return web.Response(status=status, text=text, content_type="text/html")

    def _ask(self, request: web.Request, person: Person) -> Ask:
        query = {name: value for name, value in request.query.items() if value}
        return Ask(person, token_of(request), self._clock(), query, request.match_info.get("name", ""))

    def _part(self, screen: Screen, ask: Ask) -> str:
        return self._render(screen.part, {**self._screens.frame(ask), **screen.context(ask)})

    def _whole(self, screen: Screen) -> Answer:
        async def answer(request: web.Request, person: Person) -> web.StreamResponse:
            return self._html(screen, request, self._ask(request, person))

        return answer

    def _html(
        self, screen: Screen, request: web.Request, ask: Ask, *, refused: str = "", status: int = 200
    ) -> web.Response:
        frame = self._screens.frame(ask)
        context = {
            **frame,
            **screen.context(ask),
            "part": screen.part,
            "title": screen.title,
            "path": screen.path,
            "live": f"/live{request.rel_url}",
            "refused": refused,
        }
        text = self._render("page.html", context)
        response = web.Response(text=text, content_type="text/html", status=status)
        keep_token(response, ask.token, secure=self._access is not None and self._access.behind_a_proxy)
        return response

    def _stream(self, screen: Screen) -> Answer:
        async def answer(request: web.Request, person: Person) -> web.StreamResponse:
            ask = self._ask(request, person)
            return await self._streams.send(request, lambda: self._again(screen, ask))

        return answer

    def _again(self, screen: Screen, ask: Ask) -> str:
        try:
            return self._part(screen, Ask(ask.person, ask.token, self._clock(), ask.query, ask.name))
        except Missing as error:
            return self._render("gone.html", {"why": str(error)})

    async def _scope(self, request: web.Request, _person: Person) -> web.StreamResponse:
        """Lead from a scope, as a refusal or a message names it, to what happened to it last."""
        scope = request.match_info["name"]
        incident = self._board.book.current(scope) or self._board.book.latest("single", scope)
        if incident is None:
            raise Missing(f"Nothing has happened to {scope} lately.")
        raise web.HTTPSeeOther(f"/incidents/{path_of(incident.id)}")

    async def _chart(self, request: web.Request, _person: Person) -> web.StreamResponse:
        found = self._board.lookup(request.match_info["name"])
        if found is None:
            raise Missing("There is no such incident (any more).")
        noted = self._histories.of(found[0].id)
        body = json.encode(chart(self._board, found[0], noted, self._clock()))
        return web.Response(body=body, content_type="application/json")

    async def _press(self, request: web.Request, person: Person) -> web.StreamResponse:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        name = request.match_info["name"]
        why = forged(request, form.get(FIELD, ""))
        if why:
            await self._refuse(name, person, form.get("verb", ""), why)
            return self._sorry(403, "Nothing was done", f"The form isn't trusted: {why}.")
        click = click_of(form, name, person)
        if click is None:
            return self._sorry(400, "Nothing was done", "The form isn't one of this page.")
        refused = await self._desk.press(click, person.role)
        if not refused:
            raise web.HTTPSeeOther(f"/incidents/{path_of(name)}?done={click.verb}")
        if self._board.lookup(name) is None:
            return self._sorry(404, "Nothing was done", refused)
        screen = Screen("/incidents/{name}", "incident.html", "Incident", self._screens.incident)
        return self._html(screen, request, self._ask(request, person), refused=refused, status=409)

    async def _refuse(self, name: str, person: Person, verb: str, why: str) -> None:
        log.warning("A form of %s for incident %s was refused: %s", person.name, name, why)
        await self._audit(
            Audited(
                at_s=self._clock(),
                actor=f"page:{person.name}",
                verb=verb[:32],
                incident_id=name[:64],
                scope="",
                outcome=f"refused: {why}",
                via="page",
            )
        )
