"""What a call costs, by the price table that the service publishes; never nothing for a model that nobody knows."""

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

_DATED = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2})$|-latest$")


class Tokens(Protocol):
    """What is priced: `input_tokens` includes the cached ones and those written to a cache."""

    @property
    def input_tokens(self) -> int:
        """Read by the model, cached or not."""
        ...

    @property
    def output_tokens(self) -> int:
        """Written by the model."""
        ...

    @property
    def cached_tokens(self) -> int:
        """Of the input, read from a cache."""
        ...

    @property
    def cache_write_tokens(self) -> int:
        """Of the input, written to a cache."""
        ...


class UnitPrice(Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """USD per million tokens, which is micro-dollars a token.

    From `tier_tokens` input tokens on, the whole call is priced with the `tier_` rates (0 tokens: no tiers).
    """

    input: float
    cached: float
    output: float
    cache_write: float = 0.0
    tier_tokens: int = 0
    tier_input: float = 0.0
    tier_cached: float = 0.0
    tier_output: float = 0.0
    known: bool = True

    def micro_usd(self, call: Tokens) -> int:
        """Price the tokens of a call in whole micro-dollars."""
        plain, cached, write = call.input_tokens, call.cached_tokens, call.cache_write_tokens
        if self.tier_tokens and plain > self.tier_tokens:
            return self._in_tier(call)
        if not (cached or write):
            return round(plain * self.input + call.output_tokens * self.output)
        plain = max(0, plain - cached - write)
        cost = plain * self.input + cached * self.cached + call.output_tokens * self.output
        return round(cost + write * self.cache_write)

    def _in_tier(self, call: Tokens) -> int:
        cached, write = call.cached_tokens, call.cache_write_tokens
        plain = max(0, call.input_tokens - cached - write)
        scale = self.tier_input / self.input if self.input else 1.0
        cost = plain * self.tier_input + cached * self.tier_cached + call.output_tokens * self.tier_output
        return round(cost + write * self.cache_write * scale)


UNKNOWN = UnitPrice(input=15.0, cached=15.0, output=75.0, cache_write=15.0, known=False)


class PriceList:
    """Unit prices by model. A dated or prefixed name is priced as the plain one; `unknown` is for all others."""

    def __init__(self, models: Mapping[str, UnitPrice] | None = None, unknown: UnitPrice = UNKNOWN) -> None:
        self._models = models or {}
        self._unknown = unknown
        self._found: dict[str, UnitPrice] = {}

    def of(self, model: str) -> UnitPrice:
        """Return the unit price of `model`."""
        found = self._found.get(model)
        if found is None:
            names = (name for name in names_of(model) if name in self._models)
            first = next(names, None)
            found = self._unknown if first is None else self._models[first]
            if len(self._found) >= 10_000:
                self._found.clear()
            self._found[model] = found
        return found


def bare_names(model: str) -> list[str]:
    """Names without a router's prefix: "openai/gpt-4o" is sold as "gpt-4o".

    >>> bare_names("azure/openai/gpt-4o")
    ['openai/gpt-4o', 'gpt-4o']
    """
    parts = model.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts))]


def names_of(model: str) -> Iterator[str]:
    """Yield the names that a model goes by: as given, without a router's prefix, without a date."""
    for name in (model, *bare_names(model)):
        yield name
        yield _DATED.sub("", name)
