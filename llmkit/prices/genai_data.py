"""Prices from the data of `genai-prices`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.core import catalog
from llmkit.prices import rates
from llmkit.prices.rates import Listing, Rates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

USUAL = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "unspecified"})
"""Names of the default service tier."""

_SEARCHING = re.compile(r"-search(?:-|$)")
"""Models that search before every answer, for a fee that is not in the price data or the answer."""


class Turns(NamedTuple):
    """When a model's listed price may change: UTC dates and UTC times of day."""

    dates: tuple[date, ...]
    times: tuple[time, ...]


def data_version() -> str:
    """Return the version of the price data, or its date if `UpdatePrices` downloaded it.

    The data in the package has no date.

    Example:
        >>> data_version().startswith("genai-prices ")
        True
    """
    snapshot = sys.modules.get("genai_prices.data_snapshot")  # data that is not loaded was not replaced
    data = None if snapshot is None else snapshot.get_snapshot()
    if data is not None and data.from_auto_update:
        return f"genai-prices of {data.timestamp:%Y-%m-%d}"
    return f"genai-prices {version('genai-prices')}"


def listed(
    listings: tuple[str, ...], models: tuple[str, ...], when: datetime, tier: str | None
) -> Listing | None:
    """Look up a price in `genai-prices`."""
    minute = when.replace(second=0, microsecond=0)  # prices may depend on the date and time of day
    for name in listings:
        for model in models:
            if (found := _lookup(name, model, minute, tier)) is not None:
                return found
    return None


def _find(provider: str, model: str) -> tuple[PricedProvider, ModelInfo] | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None


@lru_cache(maxsize=512)
def _lookup(provider: str, model: str, minute: datetime, tier: str | None) -> Listing | None:
    """Find a model's rates.

    A lookup in the library takes at least 140 µs, so the result is cached for the minute.
    """
    if (found := _find(provider, model)) is None:
        return None
    priced, info = found
    # The library ignores the service tier if it uses another provider's model.
    context = _context(tier) if any(info is own for own in priced.models) else None
    exact = tier is None or tier.lower() in USUAL or _varies(info, context, minute)
    factor = None if exact or tier is None else catalog.tier_factor(provider, tier.lower())
    price = info.get_prices(minute, context)
    listing = _as_listing(price, exact=exact and not _SEARCHING.search(model))
    return listing if factor is None else listing.times(Decimal(repr(factor)))


def _as_listing(price: ModelPrice, *, exact: bool) -> Listing:
    """Take a price apart by the sizes of the prompt at which its rates change."""
    from genai_prices.types import TieredPrices

    tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
    starts = tuple(sorted({step.start for value in tiered for step in value.tiers}))
    each = tuple(_rates(_flat(price, above)) for above in (0, *(start + 1 for start in starts)))
    return Listing("genai-prices", starts, each, exact)


@lru_cache(maxsize=512)
def _rates(flat: tuple[tuple[str, Any], ...]) -> Rates:
    """Compute the rates of equal prices once: the library takes 2 ms, and few minutes change a price."""
    from genai_prices.types import ModelPrice

    return rates.of_price(ModelPrice(**dict(flat)))


def turns(provider: str, model: str) -> Turns | None:
    """Find when a model's price changes, in any service tier."""
    if (found := _find(provider, model)) is None:
        return None
    info = found[1]
    periods = [*(info.prices if isinstance(info.prices, list) else ()), *(info.price_variants or ())]
    rules = [vars(period.constraint) for period in periods if period.constraint is not None]
    dates = {rule["start_date"] for rule in rules if "start_date" in rule}
    times = {_in_utc(rule[end]) for rule in rules for end in ("start_time", "end_time") if end in rule}
    return Turns(tuple(sorted(dates)), tuple(sorted(times)))


def _in_utc(clock: time) -> time:
    """Return a time of day in UTC; a time without a zone is UTC."""
    if clock.tzinfo is None:
        return clock
    return datetime.combine(date(1970, 1, 1), clock).astimezone(UTC).time()


def _flat(price: ModelPrice, input_tokens: int) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a price for prompts of this size; above a threshold, it applies to all tokens."""
    from genai_prices.types import TieredPrices

    def at(value: Any) -> Any:
        if not isinstance(value, TieredPrices):
            return value
        return next((step.price for step in reversed(value.tiers) if input_tokens > step.start), value.base)

    return tuple((name, at(value)) for name, value in vars(price).items())


def _varies(info: ModelInfo, context: Mapping[str, str] | None, when: datetime) -> bool:
    """Whether a model has prices for this service tier."""
    return context is not None and any(
        all(context.get(key) == value for key, value in variant.when.items())
        for variant in info.price_variants or ()
        if variant.constraint is None or variant.constraint.active(when)
    )


def _context(tier: str | None) -> dict[str, str] | None:
    """Return the service tier's name in the price data."""
    if tier is None:
        return None
    tier = tier.lower()
    if tier == "batch":
        return {"processing": "batch"}
    return {"service_tier": tier, "speed": tier}
