"""Streams that a pass-through route hands on: LiteLLM calls no hook for their chunks, and reads those of hosts that it
knows.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from msgspec import Struct

from .admission import Admission
from .gate import Gate
from .httpx import WatchedAsync, unread
from .identity import Answer
from .litellm_usage import Streamed
from .transport import Watch
from .usage import Usage

PASSES = "pass_through_endpoint"


class Passed(Struct, frozen=True):
    """A call on a pass-through route; `data` is its request."""

    call_id: str
    admitted: Admission
    data: Mapping[str, Any]


passing: ContextVar[Passed | None] = ContextVar("passing", default=None)
"""The call that a request's task is about: what its later hooks are given doesn't name it."""


class Watched(Watch):
    """A stream under way. Of one that is cut it says what was used; of others LiteLLM's log does, or asks `told`.

    Of one that is empty LiteLLM logs nothing: then `forget` is called.
    """

    def __init__(
        self,
        gate: Gate,
        passed: Passed,
        headers: Mapping[str, str],
        stopped: Callable[[Answer], Exception],
        forget: Callable[[str], None],
    ) -> None:
        super().__init__(gate, passed.admitted, headers, stopped)
        data = {**passed.data, "litellm_call_id": passed.call_id}
        self.call_id = passed.call_id
        self.is_cut = False
        self._is_empty = True
        self._forget = forget
        self._streamed = Streamed(passed.admitted.who, data, gate.source, is_limited=True, headers=headers)

    def take(self, chunk: bytes) -> None:
        """Count a chunk."""
        self._is_empty = False
        self._streamed.take(chunk)

    def end(self, status: str = "ok") -> None:
        """Settle and report a stream that is cut; nobody knows what an empty one took."""
        if status == "partial":
            self.is_cut = True
            self._admitted.settle(*self._streamed.used())
            self._streamed.end(status)
        elif self._is_empty:
            self._is_empty = False
            self._admitted.lose()
            self._forget(self.call_id)

    def told(self) -> tuple[Usage, str] | None:
        """Return what was used, and of which model, as far as could be read."""
        usage, model = self._streamed.used()
        return (usage, model) if usage.output_tokens or self._streamed.is_told else None


def watch(
    gate: Gate, response: object, stopped: Callable[[Answer], Exception], forget: Callable[[str], None]
) -> Watched | None:
    """Follow a response of a pass-through route that is still to be read; return what follows it."""
    passed, found = passing.get(), unread(response)
    if passed is None or found is None or found.status_code >= 400:
        return None
    watched = Watched(gate, passed, found.headers, stopped, forget)
    found.stream = WatchedAsync(found.stream, watched)
    return watched
