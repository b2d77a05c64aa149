"""Price lookup: the user's own table, then the catalogue, then `genai-prices`, otherwise unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import Usage
from llmkit.core import catalog, settings
from llmkit.core.money import from_nanos, to_nanos
from llmkit.prices import genai_data, rates
from llmkit.prices.genai_data import Turns, listed
from llmkit.prices.rates import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_FOLDER = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/(?=[^/]+$)")
"""Prefixes in Google's model names."""


@dataclass(slots=True, kw_only=True)  # not frozen: every call makes one
class Price:
    """The price of one call.

    Attributes:
        nanos: Billionths of a US dollar.
        source: `"config"`, `"llmkit"`, `"genai-prices"`, `"local"`; `"provider"` or `"proxy"` if a server
            stated it; `"given"` with a table that the caller gave.
        date: Date (ISO 8601) of the price lookup.
        exact: Whether it covers everything used; otherwise a unit has no price or is estimated.
    """

    nanos: int
    source: str
    date: str
    exact: bool = True

    @property
    def usd(self) -> float:
        """The price in US dollars."""
        return from_nanos(self.nanos)


def price(
    provider: str,
    models: tuple[str, ...],
    usage: Usage,
    *,
    when: datetime | None = None,
    tier: str | None = None,
    loaded: settings.Settings | None = None,
) -> Price | None:
    """Return the price of a call; `loaded` are the current settings, if they are known.

    Example:
        >>> from llmkit.content.messages import Usage
        >>> price("openai", ("gpt-4o-mini",), Usage(input_tokens=1_000_000, output_tokens=0)).usd
        0.15
        >>> price("openai", ("no-such-model",), Usage(input_tokens=1, output_tokens=1)) is None
        True
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    when = when or datetime.now(UTC)
    found = _usual_listing(provider, models, when, tier, loaded or settings.load())
    if found is None:
        return None
    usd, exact = total(found, usage, lambda model: listing(provider, (model,), when=when, tier=tier))
    return Price(nanos=to_nanos(usd), source=found.source, date=when.date().isoformat(), exact=exact)


def total(found: Listing, usage: Usage, consulted: Callable[[str], Listing | None]) -> tuple[Decimal, bool]:
    """Return the price of everything that a call used, and whether it is complete."""
    usage, others = _parted(usage)
    usd, exact = found.price(usage)
    for model, part in others.items():
        other = consulted(model)
        more, known = (Decimal(0), False) if other is None else other.price(_drawn(part, other))
        usd, exact = usd + more, exact and known
    return usd, exact


def _drawn(part: Usage, found: Listing) -> Usage:
    """Return the usage of a consulted model; the output of one without a price for images is images."""
    if "output_image_tokens" in found.at(part.input_tokens or 0).others:
        return part
    units = {unit: count for unit, count in part.units.items() if unit != "output_image_tokens"}
    return replace(part, units=units)


def _parted(usage: Usage) -> tuple[Usage, dict[str, Usage]]:
    """Separate the usage of consulted models, with units named `model:unit`."""
    names = usage.units and [unit for unit in usage.units if ":" in unit]
    if not names:
        return usage, {}
    counts: dict[str, dict[str, Any]] = {}
    for name in names:
        model, _, unit = name.rpartition(":")
        counts.setdefault(model, {})[unit] = usage.units[name]
    units = {unit: count for unit, count in usage.units.items() if unit not in names}
    fields = Usage.__dataclass_fields__.keys() - {"units"}
    consulted = {
        model: Usage(
            **{unit: count for unit, count in parts.items() if unit in fields},
            units={unit: count for unit, count in parts.items() if unit not in fields},
        )
        for model, parts in counts.items()
    }
    return replace(usage, units=units), consulted


def listing(
    provider: str,
    models: tuple[str, ...],
    *,
    when: datetime | None = None,
    tier: str | None = None,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> Listing | None:
    """Return the token prices of a model.

    Example:
        >>> listing("openai", ("gpt-4o-mini",)).rates[0].input == Decimal("0.15")
        True
        >>> listing("any", ("m",), own={"m": {"input": 1.0, "output": 4.0}}).source
        'given'
    """
    known = catalog.providers().get(provider)
    models = tuple(_FOLDER.sub("", model) for model in models)
    behind = settings.load().base_models
    models += tuple(behind[name] for model in models if (name := f"{provider}:{model}") in behind)
    return (
        _tabled("given", own or {}, provider, models)
        or _tabled("config", settings.load().prices, provider, models)
        or _built_in(provider, models, tier)
        or _local(known)
        or listed(_listings(known, provider), models, when or datetime.now(UTC), tier)
        or _simulated(known, tier)
    )


_kept: tuple[settings.Settings | None, dict[tuple[Any, ...], Listing | None]] = (None, {})


def _usual_listing(
    provider: str, models: tuple[str, ...], when: datetime, tier: str | None, loaded: settings.Settings
) -> Listing | None:
    """Cached `listing`: every call needs it. Valid as long as the settings, at most a second."""
    global _kept  # noqa: PLW0603 - a cache
    if _kept[0] is not loaded:
        _kept = (loaded, {})
    # Prices may change with the time of day, so the key includes the minute.
    kept, key = _kept[1], (provider, models, when.date(), when.hour, when.minute, when.tzinfo, tier)
    if key not in kept:
        kept[key] = listing(provider, models, when=when, tier=tier)
    return kept[key]


def turns(provider: str, models: tuple[str, ...]) -> Turns:
    """Return when a model's price in the price data changes, so that lookups in between can be cached.

    Example:
        >>> turns("ollama", ("llama3.3",))
        Turns(dates=(), times=())
    """
    known = catalog.providers().get(provider)
    for name in _listings(known, provider):
        for model in models:
            if (found := genai_data.turns(name, _FOLDER.sub("", model))) is not None:
                return found
    return Turns((), ())


def _tabled(
    source: str, table: Mapping[str, Mapping[str, float]], provider: str, models: tuple[str, ...]
) -> Listing | None:
    """Look up a price in our own or the user's table."""
    for model in models:
        if (entry := table.get(f"{provider}:{model}", table.get(model))) is not None:
            return Listing(source, (), (rates.own(entry),))
    return None


def _local(known: catalog.Provider | None) -> Listing | None:
    return Listing("local", (), (rates.FREE,)) if known is not None and known.local else None


def _built_in(provider: str, models: tuple[str, ...], tier: str | None) -> Listing | None:
    """Look up a price in our own table: of the sandbox's models, whichever provider they stand for."""
    found = _tabled("llmkit", catalog.prices(), provider, models)
    return None if found is None else _in_tier(found, tier)


def _simulated(known: catalog.Provider | None, tier: str | None) -> Listing | None:
    """Price the sandbox's answers under any other name."""
    if known is None or not known.sandbox:
        return None
    return _in_tier(Listing("llmkit", (), (rates.own(catalog.prices()["sandbox"]),)), tier)


def _in_tier(found: Listing, tier: str | None) -> Listing:
    """Return the sandbox's prices in a service tier."""
    factor = catalog.providers()["sandbox"].tiers.get(tier or "")
    return found if factor is None else found.times(Decimal(repr(factor)))


def _listings(known: catalog.Provider | None, provider: str) -> tuple[str, ...]:
    """Return the provider's name in the price data; the sandbox stands for the model's provider."""
    if known is None:
        return (provider,)
    if known.sandbox:
        return ("openai", "anthropic", "google")
    return () if known.prices is None else (known.prices,)
