"""From the value of a record to its events, as the engine judges them."""

from typing import Final

from msgspec import DecodeError
from msgspec.structs import astuple

from streams.event import Event
from streams.events import RECORD_BYTES_MAX, TokenEvent, decode, decode_one
from streams.validation import Rejected

# A global of another module is looked up each time it is used, unless it is a constant here.
_DECODE: Final = decode_one
_FIELDS: Final = astuple
_BYTES_MAX: Final = RECORD_BYTES_MAX


def only_of(value: bytes | None) -> Event | None:
    """Return the event of a record that is one, as nearly every record is; of any other None."""
    if value is not None and len(value) <= _BYTES_MAX and value[:1] != b"[":
        try:
            return Event(_FIELDS(_DECODE(value)))
        except (DecodeError, UnicodeDecodeError, RecursionError):
            pass  # Said in words by `all_of`.
    return None


def all_of(value: bytes | None) -> list[Event | Rejected]:
    """Return the events of a record, and what is wrong with those that are none."""
    return [Event(astuple(found)) if isinstance(found, TokenEvent) else found for found in decode(value)]
