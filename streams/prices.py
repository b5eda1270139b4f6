"""What a call costs: unit prices by model, never 0 for a model that nobody knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from typing import Any, Final

from genai_prices import data_snapshot

from streams.events import TokenEvent

_DAY_S: Final = 86_400.0


@dataclass(frozen=True)
class UnitPrice:
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

    @property
    def input_micro_usd_per_mtok(self) -> int:
        """The input price, to compare models with one another."""
        return _nearest(self.input * 1e6)

    def micro_usd(self, event: TokenEvent) -> int:
        """Price the tokens of `event` in whole micro-dollars."""
        return self.of_tokens(event.input_tokens, event.cached_tokens, event.cache_write_tokens, event.output_tokens)

    def of_tokens(self, sent: int, cached: int, written: int, output: int) -> int:
        """Price tokens in whole micro-dollars; `sent` includes those that were read from a cache or written to it."""
        plain = max(0, sent - cached - written)
        if self.tier_tokens and sent > self.tier_tokens:
            scale = self.tier_input / self.input if self.input else 1.0
            cost = plain * self.tier_input + cached * self.tier_cached + output * self.tier_output
            return _nearest(cost + written * self.cache_write * scale)
        return _nearest(plain * self.input + cached * self.cached + output * self.output + written * self.cache_write)


def _nearest(value: float) -> int:
    """Do as `round` does, but for a call of it: half to even.

    >>> [_nearest(value) for value in (0.5, 1.5, 2.4999)]
    [0, 2, 2]
    """
    whole = floor(value)
    rest = value - whole
    return whole + 1 if rest > 0.5 or (rest == 0.5 and whole % 2) else whole


CEILING: Final = UnitPrice(input=15.0, cached=15.0, output=75.0, cache_write=15.0, known=False)


def next_day_s(at_s: float) -> float:
    """Return when the day of a time ends: a price holds for a day."""
    return at_s - at_s % _DAY_S + _DAY_S


class Prices:
    """Unit prices by model, looked up once a model and day.

    `overrides` win over the price list; `ceiling` prices a model that neither knows.
    """

    def __init__(self, overrides: Mapping[str, UnitPrice] | None = None, ceiling: UnitPrice = CEILING) -> None:
        self._overrides = dict(overrides or {})
        self._ceiling = ceiling
        self._cache: dict[str, tuple[float, UnitPrice]] = {}
        data_snapshot.get_snapshot()  # Takes a tenth of a second once: better now than at the first event.

    def of(self, model: str, at_s: float) -> UnitPrice:
        """Return the unit price of `model` on the day of `at_s` (Unix seconds)."""
        hit = self._cache.get(model)
        if hit is not None and at_s < hit[0]:
            return hit[1]
        if len(self._cache) > 10_000:
            self._cache.clear()
        price = self._look_up(model, at_s)
        self._cache[model] = (next_day_s(at_s), price)
        return price

    def _look_up(self, model: str, at_s: float) -> UnitPrice:
        names = [model, *_bare_names(model)]
        for name in names:
            if name in self._overrides:
                return self._overrides[name]
        snapshot = data_snapshot.get_snapshot()
        for name in names:
            try:
                _, found = snapshot.find_provider_model(name, None, None, None)
            except LookupError:
                continue
            price = _unit_price(found.get_prices(datetime.fromtimestamp(at_s, UTC)))
            if price is not None:
                return price
        return self._ceiling


def _bare_names(model: str) -> list[str]:
    """Names without a router's prefix: "openai/gpt-4o" is sold as "gpt-4o".

    >>> _bare_names("azure/openai/gpt-4o")
    ['openai/gpt-4o', 'gpt-4o']
    """
    parts = model.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts))]


def _unit_price(listed: Any) -> UnitPrice | None:
    if listed.input_mtok is None and listed.output_mtok is None:
        return None
    plain, over, start = _tier(listed.input_mtok)
    out, out_over, _ = _tier(listed.output_mtok)
    cached, cached_over, _ = _tier(listed.cache_read_mtok) if listed.cache_read_mtok is not None else (plain, over, 0)
    write = _tier(listed.cache_write_mtok)[0] if listed.cache_write_mtok is not None else plain
    return UnitPrice(plain, cached, out, write, start, over, cached_over, out_over)


def _tier(price: Any) -> tuple[float, float, int]:
    """Return (base, rate above the first threshold, threshold in tokens) of a flat or tiered price."""
    if price is None:
        return 0.0, 0.0, 0
    tiers = getattr(price, "tiers", None)
    if not tiers:
        base = float(getattr(price, "base", price))
        return base, base, 0
    return float(price.base), float(tiers[0].price), int(tiers[0].start)


def listed_models() -> list[str]:
    """Return the names of all models of the price list."""
    return [model.id for provider in data_snapshot.get_snapshot().providers for model in provider.models]
