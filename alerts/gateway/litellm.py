"""LiteLLM proxy callback: `litellm_settings: {callbacks: ["my_brakes.brakes"]}` with `brakes = Brakes(settings, ...)`.

Hooks are called with keyword arguments: their parameters' names are LiteLLM's.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from litellm.exceptions import APIConnectionError, Timeout
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException

from .admission import Admission
from .estimate import request_of
from .events import prompt_hash
from .feed import Feed, FeedSettings
from .gate import Gate
from .guard import Guard
from .identity import Answer, Identity, cheaper, denial_body, denial_headers, parents_of
from .keys import Trust
from .litellm_passing import PASSES, Passed, Watched, passing, watch
from .litellm_usage import Streamed, event_of_payload, told_of
from .source import source_of
from .usage import Usage, prompt_of

READY_S = 30.0
ADMITTED_MAX = 50_000
CALLERS_MAX = 20_000


def identify(user_api_key_dict: Any, data: Mapping[str, Any]) -> Identity:
    """Read who is calling: the key's alias and team are authenticated, what the metadata says is only claimed."""
    metadata = data.get("metadata") or data.get("litellm_metadata") or {}
    headers = {name.lower(): value for name, value in (metadata.get("headers") or {}).items()}

    def key(name: str) -> str:
        return str(getattr(user_api_key_dict, name, None) or "")

    return Identity(
        agent=key("agent_id") or key("key_alias"),
        team=key("team_alias") or key("team_id"),
        claimed_agent=str(metadata.get("agent_id") or ""),
        run=str(headers.get("x-run-id") or metadata.get("session_id") or ""),
        parents=parents_of(headers.get("x-parent-run-ids", "")),
        workflow=str(headers.get("x-workflow-id") or ""),
        model=str(data.get("model") or ""),
    )


class Brakes(CustomLogger):  # type: ignore[misc]
    """Refuses before any upstream call, uses the cheaper model, and cuts a stream that is under way.

    The feed starts with the first call, in the proxy's own loop: each worker process has its own view. What calls
    took is reported where the settings name a topic for it.
    """

    def __init__(
        self,
        settings: FeedSettings,
        guard: Guard,
        *,
        release_url: str = "",
        identify: Callable[[Any, Mapping[str, Any]], Identity] = identify,
    ) -> None:
        super().__init__()
        self._feed = Feed(guard, settings)
        self._source = source_of(settings)
        self._gate = Gate(guard, self._feed, release_url=release_url, source=self._source)
        self._release_url = release_url
        self._identify = identify
        self._started: asyncio.Task[bool] | None = None
        self._admitted: dict[str, Admission] = {}
        # By `litellm_call_id`: what LiteLLM logs of a call later tells neither the run nor, by default, the prompt.
        self._callers: OrderedDict[str, tuple[Identity, str | None]] = OrderedDict()
        # By the same: streams of pass-through routes.
        self._passed: OrderedDict[str, Watched] = OrderedDict()

    async def start(self) -> None:
        """Begin to read the commands, and wait until they are known; may be called again."""
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        await asyncio.shield(self._started)

    async def _start(self) -> bool:
        await self._feed.start()
        # On a snapshot alone the guard can answer; without one it refuses until it knows.
        return self._gate.guard.can_vouch or await self._feed.wait_ready(READY_S)

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Refuse, or change the model; called by the proxy before each call."""
        await self.start()
        who = self._identify(user_api_key_dict, data)
        asked = request_of(data, len(str(prompt_of(data))), call_type)
        admitted = self._gate.begin(who, asked.load)
        answer = admitted.answer
        if not answer.allowed:
            raise Refusal(answer, self._release_url)
        self._remember(who, data)
        self._follow(data, admitted)
        if call_type == PASSES:
            passing.set(Passed(call_id_of(data), admitted, dict(data)))
        instead = cheaper(answer.models, who.model) if answer.models else ""
        return {**data, "model": instead} if instead else data

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Pass chunks on until the caller is stopped; called by the proxy for each stream."""
        who = self._identify(user_api_key_dict, request_data)
        call_id = call_id_of(request_data)
        admitted = self._admitted.get(call_id)
        streamed = Streamed(who, request_data, self._source, is_limited=admitted is not None)
        is_whole = False
        try:
            async for chunk in response:
                streamed.take(chunk)
                answer = self._gate.cut(who)
                if answer is not None:
                    streamed.end("partial")
                    await response.aclose()
                    raise Refusal(answer, self._release_url)
                yield chunk
            is_whole = True
        except (asyncio.CancelledError, GeneratorExit):
            streamed.end("cancelled")
            raise
        finally:
            # LiteLLM says what a whole one took, and nothing of one that ends before its time.
            if admitted is not None and not is_whole:
                admitted.settle(*streamed.used())
                self._admitted.pop(call_id, None)

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
    ) -> None:
        """Follow a stream that a pass-through route hands on; called by the proxy before the first chunk."""
        found = watch(self._gate, response, lambda answer: Refusal(answer, self._release_url), self._forget)
        if found is not None:
            self._passed[found.call_id] = found
            if len(self._passed) > CALLERS_MAX:
                self._passed.popitem(last=False)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Settle a call that has failed for good, after all retries and fallbacks; called by the proxy."""
        admitted = self._admitted.pop(call_id_of(request_data), None)
        if admitted is not None:
            (admitted.fail if is_answered(original_exception) else admitted.lose)()

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Settle and report what a call took; called by LiteLLM after each."""
        passed = self._passed.pop(str(kwargs.get("litellm_call_id") or ""), None)
        if passed is not None and passed.is_cut:
            return
        self._settle(kwargs, passed)
        self._report(kwargs, passed)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Report a call that failed; called by LiteLLM after each attempt."""
        self._passed.pop(str(kwargs.get("litellm_call_id") or ""), None)
        self._report(kwargs)

    def _follow(self, data: Mapping[str, Any], admitted: Admission) -> None:
        call_id = call_id_of(data)
        if admitted.answer.ticket is not None and call_id:
            if len(self._admitted) >= ADMITTED_MAX:
                # Never settled, it stays counted at its estimate.
                self._admitted.pop(next(iter(self._admitted)))
            self._admitted[call_id] = admitted

    def _forget(self, call_id: str) -> None:
        self._passed.pop(call_id, None)
        self._admitted.pop(call_id, None)

    def _settle(self, kwargs: Mapping[str, Any], passed: Watched | None) -> None:
        """Settle with what LiteLLM knows, or with what was seen of a stream; a cache hit takes nothing."""
        admitted = self._admitted.pop(str(kwargs.get("litellm_call_id") or ""), None)
        told = kwargs.get("standard_logging_object")
        if admitted is None or not isinstance(told, dict):
            return
        usage = Usage() if told.get("cache_hit") else told_of(told, kwargs.get("passthrough_logging_payload"))
        if usage is None:
            seen = None if passed is None else passed.told()
            admitted.lose() if seen is None else admitted.settle(*seen)
            return
        # Where LiteLLM knows no price, the table does, or its price for the unknown.
        cost = round(float(told.get("response_cost") or 0.0) * 1e6)
        admitted.settle(usage, cost_micro_usd=cost or None)

    def _remember(self, who: Identity, data: Mapping[str, Any]) -> None:
        call_id = call_id_of(data)
        if self._source is None or not call_id:
            return
        key = self._source.prompt_key
        self._callers[call_id] = who, prompt_hash(prompt_of(data), key) if key else None
        if len(self._callers) > CALLERS_MAX:
            self._callers.popitem(last=False)

    def _report(self, kwargs: Mapping[str, Any], watched: Watched | None = None) -> None:
        source, payload = self._source, kwargs.get("standard_logging_object")
        if source is None or not isinstance(payload, dict):
            return
        who, digest = self._callers.get(str(payload.get("litellm_call_id")), (None, None))
        passed = kwargs.get("passthrough_logging_payload")
        seen = (lambda: None) if watched is None else watched.told
        source.put(lambda: event_of_payload(payload, who, passed, seen=seen, gateway=source.gateway, digest=digest))


def call_id_of(data: Mapping[str, Any]) -> str:
    """Return what LiteLLM calls a request, "" if nothing; on a pass-through route only its logging object knows."""
    told = data.get("litellm_call_id") or getattr(data.get("litellm_logging_obj"), "litellm_call_id", None)
    return told if isinstance(told, str) else ""


def is_answered(error: Exception) -> bool:
    """Tell whether the provider, or the proxy, answered a call with an error, which nobody bills.

    LiteLLM gives connections that broke and timeouts status codes too; those may have been billed.
    """
    if isinstance(error, APIConnectionError | Timeout):
        return False
    code = str(getattr(error, "status_code", None) or getattr(error, "code", None) or "")
    return code.isdigit() and int(code) >= 400


class Refusal(ProxyException):  # type: ignore[misc]
    """What the proxy turns into a 403 that no SDK retries, with the body that every gateway answers with.

    Anthropic's route has the proxy's own form of errors: there the body stands in `provider_specific_fields`.
    """

    def __init__(self, answer: Answer, release_url: str) -> None:
        self.denial: dict[str, Any] = msgspec.json.decode(denial_body(answer, release_url))["error"]
        super().__init__(
            message=self.denial["message"],
            type=self.denial["type"],
            param=None,
            code=403,
            openai_code=self.denial["code"],
            headers=denial_headers(answer),
            provider_specific_fields=self.denial,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the body's `error`."""
        return {**self.denial, "param": None}


def brakes(
    env: str,
    trust_file: str,
    gateway_id: str,
    client: Mapping[str, Any],
    *,
    snapshot: str = "",
    prefix: str = "brakeline",
    events_topic: str | None = None,
    prompt_key: bytes = b"",
) -> Brakes:
    """Return a callback with default settings; `client` are the arguments of any aiokafka client.

    Usage is reported to `events_topic`, by default `<prefix>.events`; empty turns that off. With a `prompt_key` events
    carry a hash of the prompt made with it.
    """
    settings = FeedSettings(
        # Each worker process has its own view, and reports it.
        gateway_id=f"{gateway_id}:{os.getpid()}",
        env=env,
        client=client,
        kills_topic=f"{prefix}.kills",
        acks_topic=f"{prefix}.acks",
        limits_topic=f"{prefix}.limits",
        snapshot=Path(snapshot) if snapshot else None,
        adapter="litellm",
        events_topic=f"{prefix}.events" if events_topic is None else events_topic,
        prompt_key=prompt_key,
    )
    return Brakes(settings, Guard(env, Trust.parse(Path(trust_file).read_bytes()), time.time()))
