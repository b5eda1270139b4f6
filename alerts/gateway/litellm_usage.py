"""What LiteLLM tells of calls, as usage events: its StandardLoggingPayload, and the chunks of a stream that was cut.

Prompts and answers in them are counted at most.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from .events import Event, call_id, event_of, failed, prompt_hash
from .identity import Identity, parents_of
from .meter import Meter
from .source import Source
from .usage import Usage, prompt_of, said_tokens, usage_of, usage_within

_PREFIXES = ("openai", "anthropic", "azure", "gemini", "vertex_ai", "bedrock")
_REFUSED = ("Refusal", "ProxyException", "HTTPException")
"""What the proxy raises itself, before it calls anybody."""
EVENTS = {"content-type": "text/event-stream"}


def event_of_payload(
    payload: Mapping[str, Any],
    who: Identity | None = None,
    passed: Mapping[str, Any] | None = None,
    *,
    seen: Callable[[], tuple[Usage, str] | None] = lambda: None,
    gateway: str = "",
    digest: str | None = None,
) -> Event | None:
    """Return the event of a call; None for one that never went out: refused, or served from a cache.

    `who` is who called, where that is known. `passed` is the `passthrough_logging_payload` of a pass-through route: its
    answer LiteLLM reads only where it knows the provider by its host; `seen` tells what was read of a stream there, and
    of which model. A failure shares the `litellm_call_id` with what followed it, and where the answer has no id
    (embeddings) the `id` too.
    """
    if payload.get("cache_hit") or _dict(payload.get("error_information")).get("error_class") in _REFUSED:
        return None
    usage, answer = told_of(payload, passed), _dict((passed or {}).get("response_body"))
    model = str(payload.get("model") or "")
    if usage is None:
        told = seen()
        if told is None:
            return None
        usage, model = told[0], told[1] or model
    if usage_within(answer) is not None:
        model = str(answer.get("model") or model)
    ended_s, took_s = _number(payload.get("endTime")), _number(payload.get("response_time"))
    own = str(payload.get("litellm_call_id") or "")
    status = _status(payload)
    event_id = call_id(str(payload.get("id") or ""), own)
    if status != "ok":
        event_id = f"{event_id}:{status}:{round(ended_s * 1000)}"
    return event_of(
        who or caller_of(payload),
        usage,
        event_id=event_id,
        ended_s=ended_s,
        latency_s=took_s or ended_s - _number(payload.get("startTime")),
        model=bare(model, str(payload.get("custom_llm_provider") or "")),
        status=status,
        provider=str(payload.get("custom_llm_provider") or ""),
        prompt_hash=digest,
        gateway=gateway,
    )


def told_of(payload: Mapping[str, Any], passed: Mapping[str, Any] | None) -> Usage | None:
    """Return what a call took; None where nobody read that, as of a stream that a pass-through route hands on."""
    usage = _usage(payload, _dict((passed or {}).get("response_body")))
    return None if passed is not None and usage == Usage() and payload.get("status") != "failure" else usage


class Streamed:
    """A stream under way. LiteLLM logs nothing of use of one that doesn't reach its end: then this reports it.

    It goes by the id that LiteLLM would log it under, so that it is counted once in any case.
    """

    def __init__(
        self,
        who: Identity,
        data: Mapping[str, Any],
        source: Source | None,
        *,
        is_limited: bool = False,
        headers: Mapping[str, str] = EVENTS,
    ) -> None:
        self._who = who
        self._data = data
        self._source = source
        self._counts = source is not None or is_limited
        self._began_s = source.clock() if source else 0.0
        self._meter = Meter(headers)

    def take(self, chunk: Any) -> None:
        """Count a chunk: an object of LiteLLM's, or what the provider sent."""
        if not self._counts:
            return
        if isinstance(chunk, bytes | str):
            self._meter.feed(chunk.encode() if isinstance(chunk, str) else chunk)
        else:
            self._meter.take(plain(chunk))

    def end(self, status: str) -> None:
        """Report a stream that ends before its time."""
        source = self._source
        if source is not None:
            ended_s, prompt = source.clock(), prompt_of(self._data)
            source.put(lambda: self._event(source, status, ended_s, prompt))

    @property
    def is_told(self) -> bool:
        """Whether the provider has said what was used."""
        return self._meter.told is not None

    def used(self) -> tuple[Usage, str]:
        """Return what has passed until now, and of which model."""
        self._meter.end()
        return self._meter.usage(said_tokens(prompt_of(self._data))), self._meter.model

    def _event(self, source: Source, status: str, ended_s: float, prompt: list[Any]) -> Event:
        meter = self._meter
        meter.end()
        details = getattr(self._data.get("litellm_logging_obj"), "model_call_details", None)
        called = _dict(details).get("model")
        return event_of(
            self._who,
            meter.usage(said_tokens(prompt)),
            event_id=call_id(meter.answer_id, str(self._data.get("litellm_call_id") or "")) or uuid4().hex,
            ended_s=ended_s,
            latency_s=ended_s - self._began_s,
            model=called if isinstance(called, str) else meter.model,
            status=status,
            tool_calls=meter.tool_calls,
            prompt_hash=prompt_hash(prompt, source.prompt_key),
            gateway=source.gateway,
        )


def caller_of(payload: Mapping[str, Any]) -> Identity:
    """Read who called: the key's alias and team are authenticated, the rest is what the caller said of itself."""
    metadata = _dict(payload.get("metadata"))
    claimed = _dict(metadata.get("requester_metadata"))
    headers = {str(name).lower(): str(value) for name, value in _dict(metadata.get("requester_custom_headers")).items()}
    return Identity(
        agent=str(metadata.get("user_api_key_alias") or ""),
        team=str(metadata.get("user_api_key_team_alias") or metadata.get("user_api_key_team_id") or ""),
        claimed_agent=str(claimed.get("agent_id") or ""),
        run=headers.get("x-run-id") or str(claimed.get("session_id") or ""),
        parents=parents_of(headers.get("x-parent-run-ids", "")),
        workflow=headers.get("x-workflow-id", ""),
    )


def plain(chunk: Any) -> Mapping[str, Any]:
    """Return what an object of a LiteLLM stream adds, as an event of the provider's stream would say it.

    Its own `model_dump` takes longer than all that is done with a chunk otherwise.
    """
    choices = []
    for choice in getattr(chunk, "choices", None) or ():
        delta = getattr(choice, "delta", None)
        said = {name: getattr(delta, name, None) for name in ("content", "reasoning_content")}
        asked = [_call_of(call) for call in getattr(delta, "tool_calls", None) or ()]
        choices.append({"delta": {**said, "tool_calls": asked}, "text": getattr(choice, "text", None)})
    of = getattr(chunk, "response", None) or chunk
    event = {"id": getattr(of, "id", None), "model": getattr(of, "model", None), "delta": getattr(chunk, "delta", None)}
    return {**event, "choices": choices} if choices else event


def _call_of(call: Any) -> Mapping[str, Any]:
    function = getattr(call, "function", None)
    asked = {"name": getattr(function, "name", None), "arguments": getattr(function, "arguments", None)}
    return {"id": getattr(call, "id", None), "function": asked}


def bare(model: str, provider: str) -> str:
    """Return a model's name without its provider.

    >>> bare("openai/gpt-5", "openai"), bare("meta-llama/llama-4", "groq")
    ('gpt-5', 'meta-llama/llama-4')
    """
    head, _, rest = model.partition("/")
    # Routes that LiteLLM translates name another provider than the one whose model they call.
    return rest if rest and head in (provider, *_PREFIXES) else model


def _status(payload: Mapping[str, Any]) -> str:
    if payload.get("status") != "failure":
        return "ok"
    error = _dict(payload.get("error_information"))
    kind, code = str(error.get("error_class") or ""), str(error.get("error_code") or "")
    return "timeout" if kind in ("Timeout", "APITimeoutError") else failed(code or kind)


def _usage(payload: Mapping[str, Any], answer: Mapping[str, Any]) -> Usage:
    """LiteLLM counts as OpenAI does: what was cached stands within the input."""
    found = _dict(_dict(payload.get("metadata")).get("usage_object"))
    told = {name: payload[name] for name in ("prompt_tokens", "completion_tokens") if payload.get(name)}
    usage = usage_of({"prompt_tokens": 0, **found, **told})
    return usage if usage != Usage() else usage_within(answer) or usage


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
