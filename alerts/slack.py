"""Slack: one message an incident, changed in place; the only file that knows slack_sdk."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from alerts.blocks import blocks
from alerts.incident import CHAT
from alerts.markup import escape
from alerts.message import View, fallback
from alerts.sink import Gone, NotSent, Place, RateLimited, Refused, SinkError, Uncertain

EVENT_TYPE = "brakeline_incident"
TEXT_MAX = 3_000
PAGES_MAX = 10
LAYOUT_ERRORS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
MESSAGE_ERRORS = frozenset({"msg_too_long", "no_text", "invalid_metadata_format", "metadata_too_large"})
GONE_ERRORS = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
UNSURE_ERRORS = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
UNREADABLE_ERRORS = frozenset(
    {
        "missing_scope",
        "not_allowed_token_type",
        "method_not_supported_for_channel_type",
        "channel_not_found",
        "not_in_channel",
    }
)
PATIENT_S = 60.0
LOOKUP_S = 1.5


class Slack:
    """A sink that is one Slack channel.

    `base_url` is Slack's own but for tests and proxies. A message carries its incident's id as metadata, so that
    one whose fate is unknown can be looked for; that needs the scope `channels:history` (or `groups:history`).
    """

    def __init__(
        self, token: str, channel: str, *, base_url: str = AsyncWebClient.BASE_URL, timeout_s: float = 10.0
    ) -> None:
        self.name = CHAT
        self._channel = channel
        self._timeout_s = timeout_s
        # The SDK's own handlers send a request again after a dropped connection: that would post twice.
        self._once = AsyncWebClient(token, base_url, timeout=int(timeout_s) or 1, retry_handlers=[])
        patient = [AsyncRateLimitErrorRetryHandler(max_retry_count=2)]
        self._patient = AsyncWebClient(token, base_url, timeout=int(timeout_s) or 1, retry_handlers=list(patient))

    async def post(self, view: View) -> Place:
        """Post the incident; a layout that Slack refuses is posted as plain text."""
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"incident_id": view.incident.id}}
        body = {"channel": self._channel, "metadata": metadata, "unfurl_links": False, **_text(view)}
        try:
            sent = await self._call("chat.postMessage", {**body, "blocks": blocks(view)})
        except _LayoutRefused:
            sent = await self._call("chat.postMessage", body)
        return Place(str(sent.get("channel") or self._channel), str(sent["ts"]))

    async def update(self, place: Place, view: View) -> None:
        """Edit the message at `place`."""
        body = {"channel": place.channel, "ts": place.message, **_text(view)}
        try:
            await self._call("chat.update", {**body, "blocks": blocks(view)})
        except _LayoutRefused:
            await self._call("chat.update", {**body, "blocks": []})
        except _Unreadable as error:
            if place.channel == self._channel:
                raise
            raise Gone(f"{place.channel} is no longer the channel, and can't be reached: {error}") from error

    async def nudge(self, place: Place, view: View) -> None:
        """Answer in the message's thread and show it in the channel too."""
        body = {"channel": place.channel, "thread_ts": place.message, "reply_broadcast": True, **_text(view)}
        await self._call("chat.postMessage", body)

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        """Look for the incident's message in the channel's history; `None` also where it may not be read."""
        query: dict[str, Any] = {
            "channel": self._channel,
            "oldest": f"{since_s - 60:.6f}",
            "limit": 200,
            "include_all_metadata": True,
        }
        try:
            for _ in range(PAGES_MAX):
                page = await self._call("conversations.history", query, verb="GET")
                for message in page.get("messages", ()):
                    payload = message.get("metadata", {}).get("event_payload", {})
                    if payload.get("incident_id") == incident_id and "thread_ts" not in message:
                        return Place(self._channel, str(message["ts"]))
                cursor = (page.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    return None
                query["cursor"] = cursor
        except _Unreadable:
            return None
        return None

    async def chart(self, place: Place, png: bytes, title: str) -> None:
        """Put a picture into the message's thread."""
        await self._guarded(
            self._patient.files_upload_v2(
                filename="spend.png", content=png, title=title, channel=place.channel, thread_ts=place.message
            ),
            PATIENT_S,
        )

    async def open_modal(self, trigger_id: str, modal: Mapping[str, Any]) -> None:
        """Open a dialog; Slack allows 3 s after the click."""
        await self._call("views.open", {"trigger_id": trigger_id, "view": modal})

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Tell one person something in a channel."""
        await self._call("chat.postEphemeral", {"channel": channel, "user": user, "text": escape(text, TEXT_MAX)})

    async def group_members(self, usergroup: str) -> frozenset[str]:
        """Return the users of a Slack user group; a click waits for it, so it is soon given up."""
        found = await self._guarded(self._once.usergroups_users_list(usergroup=usergroup), LOOKUP_S)
        return frozenset(map(str, found.get("users", ())))

    async def _call(self, method: str, body: Mapping[str, Any], verb: str = "POST") -> Mapping[str, Any]:
        sent = {"params": _flat(body)} if verb == "GET" else {"json": dict(body)}
        return await self._guarded(self._once.api_call(method, http_verb=verb, **sent), self._timeout_s)

    async def _guarded(self, call: Awaitable[Any], limit_s: float) -> Mapping[str, Any]:
        """Await `call` for a bounded time; every failure becomes a `SinkError`."""
        try:
            async with asyncio.timeout(limit_s):
                response = await call
            return dict(response.data)
        except SlackApiError as error:
            raise _translated(error) from error
        except aiohttp.ClientConnectorError as error:
            raise NotSent(f"no connection: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackClientError, ValueError) as error:
            raise Uncertain(f"{type(error).__name__}: {error}") from error


class Ear:
    """Socket Mode: hears clicks without an inbound address; reconnects by itself."""

    def __init__(
        self,
        app_token: str,
        handle: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]],
        *,
        base_url: str = AsyncWebClient.BASE_URL,
        ping_s: float = 5.0,
    ) -> None:
        self._app_token = app_token
        self._handle = handle
        self._base_url = base_url
        self._ping_s = ping_s

    async def run(self) -> None:
        """Listen until cancelled."""
        web = AsyncWebClient(self._app_token, self._base_url)
        client: Any = SocketModeClient(self._app_token, web_client=web, ping_interval=self._ping_s)
        client.socket_mode_request_listeners.append(self._hear)
        try:
            await client.connect()
            await asyncio.Event().wait()
        finally:
            tasks = [client.message_processor, client.current_session_monitor, client.message_receiver]
            await client.close()
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    async def _hear(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        answer = await self._handle(request.payload) if request.type == "interactive" else {}
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, answer or None))


class _LayoutRefused(Refused):
    pass


class _Unreadable(NotSent):
    pass


def _text(view: View) -> dict[str, str]:
    return {"text": escape(fallback(view), TEXT_MAX)}


def _flat(body: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in body.items()}


def _translated(error: SlackApiError) -> SinkError:
    """Say what an answer of Slack means for the message."""
    response = error.response
    status = getattr(response, "status_code", 0)
    data = getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code in {"ratelimited", "rate_limited", "message_limit_exceeded"}:
        return RateLimited(_retry_after_s(response.headers))
    if status >= 500 or not code or code in UNSURE_ERRORS:
        return Uncertain(f"Slack answered {status} {code}".strip())
    for codes, kind in (
        (LAYOUT_ERRORS, _LayoutRefused),
        (MESSAGE_ERRORS, Refused),
        (GONE_ERRORS, Gone),
        (UNREADABLE_ERRORS, _Unreadable),
    ):
        if code in codes:
            return kind(f"Slack refused: {code}")
    return NotSent(f"Slack refused: {code}")


def _retry_after_s(headers: Mapping[str, str]) -> float:
    found = {key.lower(): value for key, value in headers.items()}.get("retry-after", "")
    try:
        return min(max(float(found), 1.0), 3_600.0)
    except ValueError:
        return 30.0
