"""What is kept of a record that couldn't be used: where it was, why, and a redacted sample."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256

from msgspec import Struct, json

from streams.effects import Quarantined
from streams.records import RecordBatch

SAMPLE_BYTES = 1024
_KEPT = rb"event_id|ts|agent|team|model|run_id|parent_run_id|status|provider|environment"
# A string, with the colon that makes it a key; the last one may be cut off.
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"(\s*:)?|\\?\Z)', re.DOTALL)


class QuarantineRecord(Struct, frozen=True):
    """One line of the quarantine topic."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    size_bytes: int
    sha256: str
    sample: str


def redact(value: bytes) -> bytes:
    """Return at most 1 KiB of a record, with the text of all but the known fields taken out.

    >>> redact(b'{"agent": "a-1", "prompt": "my secret"}')
    b'{"agent": "a-1", "prompt": "..."}'
    """
    known = False

    def mask(match: re.Match[bytes]) -> bytes:
        nonlocal known
        text, colon = match.group(1), match.group(2)
        if colon is not None:
            known = re.fullmatch(_KEPT, text) is not None
            return b'"' + text[:64] + b'"' + colon
        kept = text[:128] if known else b"..."
        known = False
        return b'"' + kept + b'"'

    sample = value[: 4 * SAMPLE_BYTES]
    if sample.lstrip()[:1] not in (b"{", b"["):
        return b"(not JSON)"
    return _STRING.sub(mask, sample)[:SAMPLE_BYTES]


def record_of(batch: RecordBatch, found: Quarantined) -> bytes:
    """Encode one quarantined event of a batch."""
    value = found.value or b""
    sample = redact(value).decode("utf-8", "backslashreplace")
    record = QuarantineRecord(
        batch.topic, batch.partition, found.offset, found.reason, found.detail[:300], len(value),
        sha256(value).hexdigest(), sample,
    )  # fmt: skip
    return json.encode(record)


class QuarantineGate:
    """Lets a garbage flood write at most `per_minute` records a reason; the counters stay exact elsewhere."""

    def __init__(self, per_minute: int = 600) -> None:
        self._per_minute = per_minute
        self._minute = -1
        self._written: Counter[str] = Counter()
        self.withheld = 0

    def admit(self, found: Iterable[Quarantined], now_s: float) -> Iterator[Quarantined]:
        """Yield those that may be written at `now_s`."""
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute = minute
            self._written.clear()
        for one in found:
            self._written[one.reason] += 1
            if self._written[one.reason] <= self._per_minute:
                yield one
            else:
                self.withheld += 1
