"""Token buckets for throttled scopes; told the time."""

from .wire import Command

RATE_DEFAULT_PER_MIN = 6.0
BURST_S = 10.0


class Throttles:
    """One bucket a throttled scope; a new command starts a new bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[tuple[int, int], float, float]] = {}

    def wait_s(self, command: Command, now_s: float) -> float:
        """Take one call out of the scope's bucket: 0 if it may pass, else seconds until one may."""
        rate = command.rate_per_min
        per_s = (rate if isinstance(rate, float | int) else RATE_DEFAULT_PER_MIN) / 60
        room = max(1.0, per_s * BURST_S)
        order, tokens, at_s = self._buckets.get(command.scope, ((0, 0), room, now_s))
        if order != command.order:
            tokens, at_s = room, now_s
        tokens = min(room, tokens + max(0.0, now_s - at_s) * per_s)
        passes = tokens >= 1.0
        self._buckets[command.scope] = (command.order, tokens - passes, now_s)
        return 0.0 if passes else (1.0 - tokens) / per_s

    def forget(self, scope: str) -> None:
        """Drop the bucket of a scope that is throttled no longer."""
        self._buckets.pop(scope, None)
