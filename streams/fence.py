"""Who may write a partition's rows: what a worker still writes that slept while its partition moved doesn't count.

A new owner writes a claim into the log, numbered above all before it; every row carries the claim of its writer. Who
reads the log in its order knows with each record who owned the partition then, and ignores what others wrote. The first
claim of a number stands. Compaction knows nothing of this, and would keep an ignored row instead of the good one before
it; but it waits (`min.compaction.lag.ms`), and until then the owner has written the good row again.
"""

from collections.abc import Collection, Mapping
from struct import Struct as Layout
from typing import Self

from msgspec import Struct

KEY = b"\0owner"
HEADER = "w"
_LAYOUT = Layout(">I4s")


class Claim(Struct, frozen=True):
    """One ownership of one partition: its number rises, `nonce` tells those apart who took the same one."""

    number: int
    nonce: bytes

    @classmethod
    def after(cls, other: "Claim", nonce: bytes) -> Self:
        """Return a claim that outranks another; `nonce` is 4 random bytes."""
        return cls(other.number + 1, nonce)

    def encode(self) -> bytes:
        """Return it as a header's value."""
        return _LAYOUT.pack(self.number, self.nonce)

    @classmethod
    def of(cls, headers: Mapping[str, bytes] | tuple[tuple[str, bytes], ...]) -> "Claim":
        """Return the claim that a record was written under."""
        value = dict(headers).get(HEADER, b"")
        return cls(*_LAYOUT.unpack(value)) if len(value) == _LAYOUT.size else NOBODY


NOBODY = Claim(0, bytes(4))
"""Of rows that were written before there were claims."""


class Fence:
    """What the log says of one partition, fed with its records in order.

    >>> fence, first = Fence(), Claim(1, b"aaaa")
    >>> second, late = Claim.after(first, b"bbbb"), Claim(2, b"zzzz")
    >>> [fence.admits(claim, [b"key"]) for claim in (NOBODY, first, second, first, late, second)]
    [True, True, True, False, False, True]
    """

    def __init__(self) -> None:
        self.owner = NOBODY
        self.stale: set[bytes] = set()
        """Keys whose latest record is to be ignored: their good rows must be written again."""

    def admits(self, claim: Claim, keys: Collection[bytes]) -> bool:
        """Tell whether records count that were written under `claim`, the next ones in the log."""
        if claim.number > self.owner.number:
            self.owner = claim
        if claim == self.owner:
            if self.stale:
                self.stale.difference_update(keys)
            return True
        self.stale.update(keys)
        return False
