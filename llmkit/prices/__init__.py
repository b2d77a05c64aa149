"""What a call costs: the user's own table, then the catalogue, then `genai-prices`, else unknown."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.content.messages import Usage
from llmkit.core import catalog, settings
from llmkit.core.money import from_nanos, to_nanos
from llmkit.prices import rates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

    from llmkit.prices.rates import Rates

USUAL = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "unspecified"})
"""Words for the usual service tier."""

_SEARCHING = re.compile(r"-search(?:-|$)")
"""Models that search before every answer, for a fee that neither the price data nor the answer tells."""

_FOLDER = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/(?=[^/]+$)")
"""What Google may write in front of a model's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one call.

    Attributes:
        nanos: Billionths of a US dollar.
        source: `"config"`, `"llmkit"`, `"genai-prices"`, `"local"`; `"provider"` or `"proxy"` if a server
            stated it; `"given"` with a table that the caller gave.
        date: Date (ISO 8601) for which the price was looked up.
        exact: Whether it covers all that was used; else something is left out, or is a guess.
    """

    nanos: int
    source: str
    date: str
    exact: bool = True

    @property
    def usd(self) -> float:
        """The price in US dollars."""
        return from_nanos(self.nanos)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a model's tokens cost, by the size of the prompt.

    Attributes:
        source: Where it was found; as in `Price`.
        starts: Sizes of the prompt, in tokens and ascending, above which other rates hold.
        rates: The rates up to the first of them, then those above each one.
        exact: Whether these are the rates of the service tier; else they are the usual ones.
    """

    source: str
    starts: tuple[int, ...]
    rates: tuple[Rates, ...]
    exact: bool = True

    def at(self, input_tokens: int) -> Rates:
        """Return the rates for a prompt of this size: crossing a threshold reprices all tokens."""
        return self.rates[bisect_left(self.starts, input_tokens)]

    def price(self, usage: Usage) -> tuple[Decimal, bool]:
        """Return the price in US dollars, and whether it covers all that was used."""
        tokens = rates.tokens_of(usage)
        units = rates.units_of(usage, tokens)
        each = self.at(tokens.input)
        free = self.source == "local"
        return each.cost(tokens, units), free or (self.exact and each.cover(tokens, units))


class Turns(NamedTuple):
    """When a model's listed price may change: UTC dates from which, and UTC times of the day."""

    dates: tuple[date, ...]
    times: tuple[time, ...]


def price(
    provider: str,
    models: tuple[str, ...],
    usage: Usage,
    *,
    when: datetime | None = None,
    tier: str | None = None,
) -> Price | None:
    """Look up what a call costs.

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
    found = _usual_listing(provider, models, when, tier)
    if found is None:
        return None
    usd, exact = total(found, usage, lambda model: listing(provider, (model,), when=when, tier=tier))
    return Price(nanos=to_nanos(usd), source=found.source, date=when.date().isoformat(), exact=exact)


def total(found: Listing, usage: Usage, consulted: Callable[[str], Listing | None]) -> tuple[Decimal, bool]:
    """Return what a call costs with all that it used, and whether that covers everything."""
    usage, others = _parted(usage)
    usd, exact = found.price(usage)
    for model, part in others.items():
        other = consulted(model)
        more, known = (Decimal(0), False) if other is None else other.price(part)
        usd, exact = usd + more, exact and known
    return usd, exact


def _parted(usage: Usage) -> tuple[Usage, dict[str, Usage]]:
    """Part off what other models used that were consulted: their units are named `model:unit`."""
    names = [unit for unit in usage.units if ":" in unit]
    if not names:
        return usage, {}
    counts: dict[str, dict[str, Any]] = {}
    for name in names:
        model, _, unit = name.rpartition(":")
        counts.setdefault(model, {})[unit] = usage.units[name]
    units = {unit: count for unit, count in usage.units.items() if unit not in names}
    fields = Usage.__dataclass_fields__.keys() - {"units"}
    consulted = {
        model: Usage(**{unit: count for unit, count in parts.items() if unit in fields})
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
    """Look up what a model's tokens cost.

    Example:
        >>> listing("openai", ("gpt-4o-mini",)).rates[0].input == Decimal("0.15")
        True
        >>> listing("any", ("m",), own={"m": {"input": 1.0, "output": 4.0}}).source
        'given'
    """
    known = catalog.providers().get(provider)
    models = tuple(_FOLDER.sub("", model) for model in models)
    return (
        _tabled("given", own or {}, provider, models)
        or _tabled("config", settings.load().prices, provider, models)
        or _tabled("llmkit", catalog.prices(), provider, models)
        or _local(known)
        or _listed(_listings(known, provider), models, when or datetime.now(UTC), tier)
        or _simulated(known)
    )


_kept: tuple[settings.Settings | None, dict[tuple[Any, ...], Listing | None]] = (None, {})


def _usual_listing(
    provider: str, models: tuple[str, ...], when: datetime, tier: str | None
) -> Listing | None:
    """Return what `listing` does; kept as long as the settings are, a second at most, for every call asks."""
    global _kept  # noqa: PLW0603 - a cache
    loaded = settings.load()
    if _kept[0] is not loaded:
        _kept = (loaded, {})
    kept, key = _kept[1], (provider, models, when.replace(second=0, microsecond=0), tier)
    if key not in kept:
        kept[key] = listing(provider, models, when=when, tier=tier)
    return kept[key]


def turns(provider: str, models: tuple[str, ...]) -> Turns:
    """Return when a model's price in the price data changes, so that it is looked up once in between.

    Example:
        >>> turns("ollama", ("llama3.3",))
        Turns(dates=(), times=())
    """
    known = catalog.providers().get(provider)
    for name in _listings(known, provider):
        for model in models:
            if (found := _turns(name, _FOLDER.sub("", model))) is not None:
                return found
    return Turns((), ())


def data_version() -> str:
    """Return the version of the price data in use; its date, if it was downloaded by `UpdatePrices`.

    The data that comes with the package bears no date of its own.

    Example:
        >>> data_version().startswith("genai-prices ")
        True
    """
    snapshot = sys.modules.get("genai_prices.data_snapshot")  # nobody has replaced what is not loaded
    data = None if snapshot is None else snapshot.get_snapshot()
    if data is not None and data.from_auto_update:
        return f"genai-prices of {data.timestamp:%Y-%m-%d}"
    return f"genai-prices {version('genai-prices')}"


def _tabled(
    source: str, table: Mapping[str, Mapping[str, float]], provider: str, models: tuple[str, ...]
) -> Listing | None:
    """Look into a table of our own or of the user's."""
    for model in models:
        if (entry := table.get(f"{provider}:{model}", table.get(model))) is not None:
            return Listing(source, (), (rates.own(entry),))
    return None


def _local(known: catalog.Provider | None) -> Listing | None:
    return Listing("local", (), (rates.FREE,)) if known is not None and known.local else None


def _simulated(known: catalog.Provider | None) -> Listing | None:
    """Price what the sandbox answers under any other name."""
    if known is None or not known.sandbox:
        return None
    return Listing("llmkit", (), (rates.own(catalog.prices()["sandbox"]),))


def _listings(known: catalog.Provider | None, provider: str) -> tuple[str, ...]:
    """Return where in the price data to look: the sandbox plays the models of others."""
    if known is None:
        return (provider,)
    if known.sandbox:
        return ("openai", "anthropic", "google")
    return () if known.prices is None else (known.prices,)


def _listed(
    listings: tuple[str, ...], models: tuple[str, ...], when: datetime, tier: str | None
) -> Listing | None:
    """Look into `genai-prices`."""
    minute = when.replace(second=0, microsecond=0)  # prices change by the day or by the time of day
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

    A look-up in the library takes 140 µs and more, so the answer is kept for the minute.
    """
    from genai_prices.types import TieredPrices

    if (found := _find(provider, model)) is None:
        return None
    priced, info = found
    # The library ignores the service tier where it borrows another provider's model.
    context = _context(tier) if any(info is own for own in priced.models) else None
    exact = tier is None or tier.lower() in USUAL or _varies(info, context, minute)
    exact = exact and not _SEARCHING.search(model)
    price = info.get_prices(minute, context)
    tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
    starts = tuple(sorted({step.start for value in tiered for step in value.tiers}))
    each = tuple(rates.of_price(_flat(price, above)) for above in (0, *(start + 1 for start in starts)))
    return Listing("genai-prices", starts, each, exact)


def _turns(provider: str, model: str) -> Turns | None:
    """Find when a model's price changes, whatever the service tier."""
    if (found := _find(provider, model)) is None:
        return None
    info = found[1]
    periods = [*(info.prices if isinstance(info.prices, list) else ()), *(info.price_variants or ())]
    rules = [vars(period.constraint) for period in periods if period.constraint is not None]
    dates = {rule["start_date"] for rule in rules if "start_date" in rule}
    times = {_in_utc(rule[end]) for rule in rules for end in ("start_time", "end_time") if end in rule}
    return Turns(tuple(sorted(dates)), tuple(sorted(times)))


def _in_utc(clock: time) -> time:
    """Return a time of the day in UTC; one without a zone is in UTC already."""
    if clock.tzinfo is None:
        return clock
    return datetime.combine(date(1970, 1, 1), clock).astimezone(UTC).time()


def _flat(price: ModelPrice, input_tokens: int) -> ModelPrice:
    """Return the price that holds for prompts of this size: crossing a threshold reprices all tokens."""
    from genai_prices.types import ModelPrice, TieredPrices

    def at(value: Any) -> Any:
        if not isinstance(value, TieredPrices):
            return value
        return next((step.price for step in reversed(value.tiers) if input_tokens > step.start), value.base)

    return ModelPrice(**{name: at(value) for name, value in vars(price).items()})


def _varies(info: ModelInfo, context: Mapping[str, str] | None, when: datetime) -> bool:
    """Whether a model has prices for this service tier."""
    return context is not None and any(
        all(context.get(key) == value for key, value in variant.when.items())
        for variant in info.price_variants or ()
        if variant.constraint is None or variant.constraint.active(when)
    )


def _context(tier: str | None) -> dict[str, str] | None:
    """Say the service tier in the price data's words."""
    if tier is None:
        return None
    tier = tier.lower()
    if tier == "batch":
        return {"processing": "batch"}
    return {"service_tier": tier, "speed": tier}
