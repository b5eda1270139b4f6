"""What was delivered of one partition, where delivery goes on, and how far it may be committed."""

from collections import deque
from enum import Enum
from typing import Protocol

from msgspec import Struct


class Acknowledged(Protocol):
    """A delivered message: its own `acked` counts, never its offset, since a range may be read twice."""

    acked: bool


class Progress(Struct, frozen=True):
    """Where a partition stands: offsets of its end, and before which all is done. None: not known yet."""

    end: int | None
    done: int | None

    @property
    def lag(self) -> int:
        """Records that are not done, as far as is known."""
        return 0 if self.end is None or self.done is None else max(0, self.end - self.done)


class Verdict(Enum):
    """What to do with a fetched range."""

    DELIVER = "deliver"
    DROP = "drop"
    """The partition is between two lives (rebalance, recovery, seek): whatever was fetched is read again."""
    REWIND = "rewind"
    """It isn't what comes next: fetched before a seek, or something before it got lost on the way."""


class Ledger:
    """The chain of deliveries of one partition.

    Every fetched range starts where the last delivered one ended, or it isn't delivered: this is what keeps a commit
    from standing still behind a range that was dropped, and from passing over it. Offsets that the broker no longer
    has are the exception; they show as the same break again after going back.

    >>> class Message:
    ...     acked = False
    >>> ledger, first, second = Ledger(), Message(), Message()
    >>> ledger.judge(0)
    <Verdict.DROP: 'drop'>
    >>> ledger.open(0)
    >>> ledger.deliver(first, 10), ledger.deliver(second, 20)
    (None, None)
    >>> second.acked = True
    >>> ledger.committable is None
    True
    >>> first.acked = True
    >>> ledger.committable
    20
    """

    def __init__(self) -> None:
        self.position: int | None = None
        """Offset that is delivered next, or None while closed."""
        self._unacked: deque[tuple[Acknowledged | None, int]] = deque()
        self._acked_end: int | None = None
        self._opened: int | None = None
        self._break: tuple[int, int] | None = None

    def close(self) -> None:
        """Forget all deliveries; nothing is delivered or committed until `open`."""
        self.position = self._opened = self._acked_end = self._break = None
        self._unacked.clear()

    def open(self, position: int) -> None:
        """Begin anew: the fetcher was set to this offset."""
        self.close()
        self.position = self._opened = position

    def judge(self, start: int) -> Verdict:
        """Say what to do with a range that was read from offset `start` on."""
        if self.position is None:
            return Verdict.DROP
        if start == self.position or self._break == (self.position, start):
            self._break = None
            return Verdict.DELIVER
        self._break = (self.position, start)
        return Verdict.REWIND

    def deliver(self, message: Acknowledged | None, end: int) -> None:
        """Book a delivery that ends before offset `end`; None is a range without records, which needs no ack."""
        self._unacked.append((message, end))
        self.position = end

    @property
    def committable(self) -> int | None:
        """End of the acked prefix of what was delivered since `open`; None while there is none."""
        while self._unacked:
            message, end = self._unacked[0]
            if message is not None and not message.acked:
                break
            self._acked_end = end
            self._unacked.popleft()
        return self._acked_end

    @property
    def done(self) -> int | None:
        """Offset before which all is done, also when there is nothing to commit yet; None while closed."""
        end = self.committable
        return self._opened if end is None else end
