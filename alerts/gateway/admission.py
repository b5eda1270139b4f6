"""A call that was let through, from its check to its end: looked after, and settled with what it took."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from .budget import USUAL, Load
from .identity import Answer, Identity
from .meter import Meter
from .usage import Usage

if TYPE_CHECKING:
    from .gate import Gate


class Admission:
    """The answer to one call. Where it has reserved nothing, there is nothing to meter and to settle.

    What isn't settled stays counted at its estimate.
    """

    def __init__(self, gate: "Gate", who: Identity, answer: Answer, load: Load | None = None) -> None:
        self.who = structs.replace(who, model=answer.model) if answer.model else who
        self.answer = answer
        self._gate = gate
        self._load = load or USUAL
        self._meter: Meter | None = None
        self._failed = False

    def look(self) -> Answer | None:
        """Return the refusal if the caller was stopped meanwhile."""
        return self._gate.cut(self.who)

    def answered(self, code: int, headers: Mapping[str, str]) -> None:
        """Take in the head of the response."""
        self._failed = code >= 400
        self._meter = Meter(headers) if self.answer.ticket is not None else None

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk of the response."""
        if self._meter is not None:
            self._meter.feed(chunk)

    def end(self) -> None:
        """Settle with what has passed; a second time changes nothing. A failure took nothing."""
        meter, self._meter = self._meter, None
        if self._failed:
            self.fail()
            return
        if meter is None:
            return
        meter.end()
        if meter.told is None and not meter.streams:
            self.lose()
            return
        self.settle(meter.usage(self._load.input_tokens), meter.model)

    def fail(self) -> None:
        """Settle a call that took nothing: it never reached the provider, or was answered with an error."""
        self.settle(Usage())

    def lose(self) -> None:
        """Settle a call of which nobody knows what it took, a timeout's say, with its estimate."""
        if self.answer.ticket is not None:
            self._gate.lose(self.answer.ticket)

    def settle(self, usage: Usage, model: str = "", cost_micro_usd: int | None = None) -> None:
        """Replace the reservation with what the call took; a second time changes nothing.

        `cost_micro_usd` is for adapters that know it better than the price table.
        """
        ticket = self.answer.ticket
        if ticket is not None:
            self._gate.settle(ticket, usage, model or self.who.model, cost_micro_usd)
