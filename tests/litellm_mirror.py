"""The callback of a LiteLLM proxy whose guard is a test's own: it follows the file that `litellm_adapter` writes."""

import os
from pathlib import Path
from typing import Any

import msgspec
from brakeline_gateway.feed import FeedSettings
from brakeline_gateway.guard import Guard
from brakeline_gateway.keys import Trust
from brakeline_gateway.litellm import Brakes

STATE = Path(os.environ["MIRROR"])
ENV, NOW_S = "test", 1_000.0
NOWHERE = "127.0.0.1:1"


class Mirror(Guard):
    """A guard of the state in the file, at the test's time."""

    can_vouch = True

    def __init__(self) -> None:
        super().__init__(ENV, Trust.of(), NOW_S)
        self._content = b""
        self._shown: Guard | None = None

    def _follow(self) -> Guard:
        content = STATE.read_bytes()
        if self._shown is None or content != self._content:
            trust, snapshot = msgspec.msgpack.decode(content, type=tuple[bytes, bytes])
            self._shown = Guard(ENV, Trust.parse(trust), NOW_S)
            self._shown.restore(snapshot, NOW_S)
            self._content = content
        return self._shown

    def check(self, who: Any, _now_s: float, *more: Any) -> Any:
        return self._follow().check(who, NOW_S, *more)

    def cut(self, who: Any, _now_s: float) -> Any:
        return self._follow().cut(who, NOW_S)


brakes = Brakes(FeedSettings(gateway_id="mirror", env=ENV, client={"bootstrap_servers": NOWHERE}), Mirror())
