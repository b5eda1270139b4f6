"""How long a worker may believe that its partitions are still its own: as long as the group has heard from it."""

import time
from collections.abc import Callable
from typing import Any


class LeaseError(Exception):
    """The group may have given this worker's partitions to another one meanwhile: nothing more may go out."""


class Lease:
    """Renewed by every heartbeat that the group's coordinator has answered; `clock` returns monotonic seconds.

    >>> now_s = 0.0
    >>> lease = Lease(12.0, clock=lambda: now_s)
    >>> lease.renew(0.0)
    >>> now_s = 12.0
    >>> lease.check()
    >>> now_s = 12.1
    >>> lease.check()
    Traceback (most recent call last):
    streams.lease.LeaseError: the group hasn't heard of this worker for 12 s: another may have its partitions now
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.session_s = session_s
        self._clock = clock
        self._renewed_s = float("-inf")

    def renew(self, sent_s: float | None = None) -> None:
        """Take in that what was sent at `sent_s`, without it now, has been answered."""
        self._renewed_s = max(self._renewed_s, self._clock() if sent_s is None else sent_s)

    def follow(self, coordinator: Any) -> None:
        """Have each heartbeat of an aiokafka coordinator that is answered renew the lease."""
        beat = coordinator._do_heartbeat

        async def renewing() -> bool:
            sent_s = self._clock()
            answered = bool(await beat())
            if answered:
                self.renew(sent_s)
            return answered

        coordinator._do_heartbeat = renewing

    def check(self) -> None:
        """Raise LeaseError when the group's coordinator may have given up on this worker."""
        silent_s = self._clock() - self._renewed_s
        if silent_s > self.session_s:
            raise LeaseError(
                f"the group hasn't heard of this worker for {silent_s:.0f} s: another may have its partitions now"
            )
