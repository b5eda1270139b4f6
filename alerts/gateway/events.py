"""Usage events: what a gateway tells Kafka of each call that it let through. Nothing of the prompt but a keyed hash."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from .identity import Identity
from .usage import Usage

NAME_CHARS_MAX = 128
UNIQUE_CHARS_MIN = 20
"""Of an id: shorter ones of some servers come again, such as Ollama's chatcmpl-123."""
_NOT_NAME = re.compile(r"[^A-Za-z0-9._:/@-]")
_NOT_WORD = re.compile(r"[^a-z0-9_]+")


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finished call, as the service's events topic takes it. `ts` is its end in Unix seconds."""

    event_id: str
    ts: float
    agent: str
    model: str
    input_tokens: int
    output_tokens: int
    team: str = ""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    tool_calls: int = 0
    run_id: str | None = None
    parent_run_id: str | None = None
    status: str = "ok"
    latency_ms: float = 0.0
    workflow: str | None = None
    provider: str | None = None
    prompt_hash: str | None = None
    gateway: str | None = None

    def encode(self) -> tuple[bytes, bytes]:
        """Return the record's key, by which the service finds a whole family of agents in one partition, and value."""
        return self.agent.partition("/")[0].encode(), msgspec.json.encode(self)


def event_of(
    who: Identity,
    usage: Usage,
    *,
    event_id: str,
    ended_s: float,
    latency_s: float,
    model: str = "",
    status: str = "ok",
    tool_calls: int = 0,
    provider: str = "",
    prompt_hash: str | None = None,
    gateway: str = "",
) -> Event:
    """Return the event of one call. Names that the service doesn't take are made so that it does."""
    return Event(
        event_id=short(event_id),
        ts=ended_s,
        agent=name(who.agent or who.claimed_agent) or "unknown",
        team=name(who.team or who.claimed_team),
        model=name(model or who.model) or "unknown",
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=min(usage.cached_tokens, usage.input_tokens),
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        tool_calls=tool_calls,
        run_id=name(who.run) or None,
        parent_run_id=name(who.parents[0]) or None if who.parents else None,
        status=status,
        latency_ms=max(0.0, round(latency_s * 1000, 1)),
        workflow=who.workflow[:256] or None,
        provider=provider[:256] or None,
        prompt_hash=prompt_hash,
        gateway=gateway[:256] or None,
    )


def call_id(answer_id: str, own: str) -> str:
    """Return a call's id: its provider's, so that two of our gateways in a row count it once, if that is unique.

    >>> call_id("chatcmpl-123", "0c7f")
    'chatcmpl-123:0c7f'
    """
    if len(answer_id) >= UNIQUE_CHARS_MIN:
        return answer_id
    return f"{answer_id}:{own}" if answer_id else own


def name(text: str) -> str:
    """Return a name with each character that the service doesn't take replaced.

    >>> name("Alice's key")
    'Alice-s-key'
    """
    return _NOT_NAME.sub("-", text)[:NAME_CHARS_MAX]


def is_plain(text: str) -> bool:
    """Tell, sooner than `name`, whether it would leave a text as it is."""
    return _NOT_NAME.search(text) is None and len(text) <= NAME_CHARS_MAX


def are_plain(texts: Sequence[str]) -> bool:
    """Tell whether all are plain."""
    return _NOT_NAME.search("".join(texts)) is None and max(map(len, texts)) <= NAME_CHARS_MAX


def short(text: str) -> str:
    """Return an id of at most 128 characters, the same for the same text."""
    if len(text) <= NAME_CHARS_MAX:
        return text
    return f"hash:{blake2b(text.encode(), digest_size=16).hexdigest()}"


def failed(why: str) -> str:
    """Return the status of a call that failed.

    >>> failed("RateLimitError"), failed("429"), failed("")
    ('error_ratelimiterror', 'error_429', 'error')
    """
    word = _NOT_WORD.sub("_", why.lower()).strip("_")[:32]
    return f"error_{word}" if word else "error"


def prompt_hash(prompt: Any, key: bytes) -> str | None:
    """Return a hash by which equal prompts are known, and nothing else without the key; None without a key."""
    if not key or not prompt:
        return None
    content = msgspec.json.encode(prompt, order="deterministic", enc_hook=str)
    return blake2b(content, key=blake2b(key).digest(), digest_size=16).hexdigest()
