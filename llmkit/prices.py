"""What a call costs: the user's own table, then the catalogue, then `genai-prices`, else unknown.

Money is counted in whole billionths of a US dollar (nano-dollars): ten tokens at $0.0375 per
million are 375 of them, where micro-dollars would round to nothing.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit import catalog, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_prices import Usage as PricedUsage
    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

    from llmkit.messages import Usage

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one call.

    Attributes:
        nanos: Billionths of a US dollar.
        source: `"config"`, `"llmkit"`, `"genai-prices"`, `"provider"`, `"local"`, or `"given"` with a table
            that the caller gave.
        date: Date (ISO 8601) for which the price was looked up.
    """

    nanos: int
    source: str
    date: str

    @property
    def usd(self) -> float:
        """The price in US dollars."""
        return self.nanos / NANO


class Tokens(NamedTuple):
    """Tokens of a call, with 0 for what was not counted; parts of the input are within `input`."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


class Rates(NamedTuple):
    """US dollars per million tokens; the input rate is for what no cache touched."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal

    def cost(self, tokens: Tokens) -> Decimal:
        """Return the price in US dollars of these tokens."""
        short = tokens.cache_write - tokens.cache_write_1h
        plain = tokens.input - tokens.cache_read - tokens.cache_write
        return (
            self.input * plain
            + self.output * tokens.output
            + self.cache_read * tokens.cache_read
            + self.cache_write * short
            + self.cache_write_1h * tokens.cache_write_1h
        ) / _MILLION


_FREE = Rates(*[Decimal(0)] * 5)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a model's tokens cost, by the size of the prompt.

    Attributes:
        source: Where it was found; as in `Price`.
        starts: Sizes of the prompt, in tokens and ascending, above which other rates hold.
        rates: The rates up to the first of them, then those above each one.
    """

    source: str
    starts: tuple[int, ...]
    rates: tuple[Rates, ...]

    def at(self, input_tokens: int) -> Rates:
        """Return the rates for a prompt of this size: crossing a threshold reprices all tokens."""
        return self.rates[bisect_left(self.starts, input_tokens)]


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

    Args:
        provider: Name of the provider, e.g. `"openai"`.
        models: Names of the model, the best first: the one that answered, the one asked for.
        usage: The tokens; parts that are unknown count nothing.
        when: When the call was made; by default now.
        tier: The provider's service tier (`"flex"`, `"priority"`, `"batch"`).

    Returns:
        The price, or `None` if nobody knows it.

    Example:
        >>> from llmkit.messages import Usage
        >>> price("openai", ("gpt-4o-mini",), Usage(input_tokens=1_000_000, output_tokens=0)).usd
        0.15
        >>> price("openai", ("no-such-model",), Usage(input_tokens=1, output_tokens=1)) is None
        True
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    when = when or datetime.now(UTC)
    found = listing(provider, models, when=when, tier=tier)
    if found is None:
        return None
    tokens = _tokens(usage)
    usd = found.at(tokens.input).cost(tokens)
    return Price(nanos=to_nanos(usd), source=found.source, date=when.date().isoformat())


def listing(
    provider: str,
    models: tuple[str, ...],
    *,
    when: datetime | None = None,
    tier: str | None = None,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> Listing | None:
    """Look up what a model's tokens cost.

    Args:
        provider: Name of the provider.
        models: Names of the model, the best first.
        when: When the call was made; by default now.
        tier: The provider's service tier.
        own: Prices that win over all others, as `settings.price_table` returns them.

    Returns:
        The rates, or `None` if nobody knows them.

    Example:
        >>> listing("openai", ("gpt-4o-mini",)).rates[0].input == Decimal("0.15")
        True
        >>> listing("any", ("m",), own={"m": {"input": 1.0, "output": 4.0}}).source
        'given'
    """
    known = catalog.providers().get(provider)
    return (
        _tabled("given", own or {}, provider, models)
        or _tabled("config", settings.load().prices, provider, models)
        or _tabled("llmkit", catalog.prices(), provider, models)
        or _local(known)
        or _listed(_listings(known, provider), models, when or datetime.now(UTC), tier)
        or _simulated(known)
    )


def turns(provider: str, models: tuple[str, ...]) -> Turns:
    """Return when a model's price in the price data changes, so that it is looked up once in between.

    Args:
        provider: Name of the provider.
        models: Names of the model, the best first.

    Returns:
        The dates and the times of the day, ascending; none for a model that is priced elsewhere.

    Example:
        >>> turns("ollama", ("llama3.3",))
        Turns(dates=(), times=())
    """
    known = catalog.providers().get(provider)
    for name in _listings(known, provider):
        for model in models:
            if (found := _turns(name, model)) is not None:
                return found
    return Turns((), ())


def to_nanos(usd: Decimal | float) -> int:
    """Return US dollars as whole nano-dollars, half to even.

    Args:
        usd: An amount; a float is read as it prints, so that 0.1 is a tenth.

    Example:
        >>> to_nanos(0.000000375)
        375
    """
    exact = usd if isinstance(usd, Decimal) else Decimal(repr(usd))
    return int((exact * NANO).to_integral_value(ROUND_HALF_EVEN))


def format_money(usd: float | None) -> str:
    """Write an amount so that a small one stays readable and none becomes zero.

    Args:
        usd: US dollars; `None` or NaN if unknown.

    Returns:
        The amount: two decimals from a dollar up, two significant digits below; `$?` if unknown.

    Example:
        >>> [format_money(usd) for usd in (12.345, 0.031, 0.0056, 0.000012, None)]
        ['$12.35', '$0.031', '$0.0056', '$0.000012', '$?']
    """
    if usd is None or not math.isfinite(usd):
        return "$?"
    sign, amount = ("-" if usd < 0 else ""), abs(usd)
    if amount == 0 or amount >= 0.995:
        return f"{sign}${amount:,.2f}"
    if amount < 1e-9:
        return f"{sign}<$0.000000001"
    decimals = max(2, 1 - math.floor(math.log10(float(f"{amount:.1e}"))))
    digits = f"{amount:.{decimals}f}"
    whole = digits.rstrip("0")
    return f"{sign}${whole if len(whole) >= 4 else digits[:4]}"


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
            return Listing(source, (), (_own_rates(entry),))
    return None


def _local(known: catalog.Provider | None) -> Listing | None:
    return Listing("local", (), (_FREE,)) if known is not None and known.local else None


def _simulated(known: catalog.Provider | None) -> Listing | None:
    """Price what the sandbox answers under any other name."""
    if known is None or not known.sandbox:
        return None
    return Listing("llmkit", (), (_own_rates(catalog.prices()["sandbox"]),))


def _listings(known: catalog.Provider | None, provider: str) -> tuple[str, ...]:
    """Return where in the price data to look: the sandbox plays the models of others."""
    if known is None:
        return (provider,)
    if known.sandbox:
        return ("openai", "anthropic", "google")
    return () if known.prices is None else (known.prices,)


def _tokens(usage: Usage) -> Tokens:
    """Count the parts, none of them larger than the whole: some servers report it so."""
    whole = usage.input_tokens or 0
    read = min(usage.cache_read_tokens or 0, whole)
    write = min(usage.cache_write_tokens or 0, whole - read)
    return Tokens(whole, usage.output_tokens or 0, read, write, min(usage.cache_write_1h_tokens or 0, write))


def _own_rates(entry: Mapping[str, float]) -> Rates:
    """Read a price table's entry; a cache costs what the input costs unless it says otherwise."""
    usd = {key: Decimal(repr(value)) for key, value in entry.items()}
    write = usd.get("cache_write", usd["input"])
    return Rates(
        input=usd["input"],
        output=usd["output"],
        cache_read=usd.get("cache_read", usd["input"]),
        cache_write=write,
        cache_write_1h=usd.get("cache_write_1h", write),
    )


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
    price = info.get_prices(minute, context)
    tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
    starts = tuple(sorted({step.start for value in tiered for step in value.tiers}))
    rates = tuple(_rates(_flat(price, above)) for above in (0, *(start + 1 for start in starts)))
    return Listing("genai-prices", starts, rates)


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


def _context(tier: str | None) -> dict[str, str] | None:
    """Say the service tier in the price data's words."""
    if tier is None:
        return None
    if tier == "batch":
        return {"processing": "batch"}
    return {"service_tier": tier, "speed": tier}


def _usage(tokens: Tokens) -> PricedUsage:
    from genai_prices import Usage as PricedUsage

    return PricedUsage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
    )


def _rates(price: ModelPrice) -> Rates:
    """Return a model's rates, read off a million tokens of each kind.

    The library's own calculation fills in what a model does not list: a cache without a price of its
    own costs what the input costs.
    """
    million = int(_MILLION)
    kinds = (
        Tokens(million, 0, 0, 0, 0),
        Tokens(0, million, 0, 0, 0),
        Tokens(million, 0, million, 0, 0),
        Tokens(million, 0, 0, million, 0),
        Tokens(million, 0, 0, million, million),
    )
    return Rates(*(price.calc_price(_usage(tokens))["total_price"] for tokens in kinds))
