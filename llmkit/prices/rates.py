"""Cost arithmetic of one model's units: tokens of every kind, searches, requests."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_prices import Usage as PricedUsage
    from genai_prices.types import ModelPrice

    from llmkit.content.messages import Usage

MILLION = Decimal(1_000_000)

MODALITIES = ("audio", "image", "video")

FEES = ("web_searches", "social_searches", "storage_searches", "code_executions", "requests")
"""Units other than tokens, priced per thousand."""

KINDS = MappingProxyType(
    {
        **{f"input_{kind}_tokens": "input" for kind in MODALITIES},
        **{f"output_{kind}_tokens": "output" for kind in MODALITIES},
        **{f"cache_{kind}_read_tokens": "cache_read" for kind in MODALITIES},
        "output_reasoning_tokens": "output",
        "output_citation_tokens": "output",
    }
)
"""Kinds of tokens that may have their own price, and the kind whose price is the default."""

INCLUDED = frozenset(KINDS) - {"input_audio_tokens", *(f"output_{kind}_tokens" for kind in MODALITIES)}
"""Kinds of tokens that are billed like the rest unless they have a price."""

ALWAYS = frozenset({"requests", "output_reasoning_tokens"})
"""Units that every call has and every price covers."""

US_INFERENCE = "us_inference"
"""Anthropic's surcharge on all tokens of a call restricted to the USA; not in the price data."""

US_FACTOR = Decimal("1.1")

NO_UNITS: Mapping[str, int] = MappingProxyType({})


class Tokens(NamedTuple):
    """Tokens of a call, 0 if not counted; `input` includes its parts."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


class Rates(NamedTuple):
    """US dollars per million tokens; the input rate is for uncached input.

    `others` is the price per million of another unit, on top of the tokens that include it; `unlisted`
    names the sides (`"input"`, `"output"`) without a price.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    others: Mapping[str, Decimal] = MappingProxyType({})
    unlisted: frozenset[str] = frozenset()

    def cost(self, tokens: Tokens, units: Mapping[str, int] = NO_UNITS) -> Decimal:
        """Return the price of these tokens and the other units, in US dollars."""
        plain = tokens.input - tokens.cache_read - tokens.cache_write
        millionths = self.input * plain + self.output * tokens.output
        if plain != tokens.input:  # most calls cache nothing
            short = tokens.cache_write - tokens.cache_write_1h
            millionths += (
                self.cache_read * tokens.cache_read
                + self.cache_write * short
                + self.cache_write_1h * tokens.cache_write_1h
            )
        if not units:
            return millionths / MILLION
        fees = Decimal(0)
        for unit, count in units.items():
            usd = self.others.get(unit) if count else None
            if usd is None:
                continue
            if unit in KINDS:
                millionths += usd * count
            else:
                fees += usd * count
        # The surcharge applies to tokens, not to fees.
        return (millionths * (US_FACTOR if units.get(US_INFERENCE) else 1) + fees) / MILLION

    def times(self, factor: Decimal) -> Rates:
        """Return the rates with a factor on all tokens; fees stay."""
        names = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
        others = {unit: usd * factor if unit in KINDS else usd for unit, usd in self.others.items()}
        return self._replace(
            others=MappingProxyType(others), **{name: getattr(self, name) * factor for name in names}
        )

    def cover(self, tokens: Tokens, units: Mapping[str, int]) -> bool:
        """Whether everything used has a price, so that the sum is exact."""
        if self.unlisted and any(getattr(tokens, side) for side in self.unlisted):
            return False
        if units.keys() <= ALWAYS:
            return True
        priced = self.others.keys() | INCLUDED | {"requests"}
        if any(count and unit not in priced for unit, count in units.items()):
            return False
        return not any(self._mixed(kind, tokens, units) for kind in MODALITIES)

    def _mixed(self, kind: str, tokens: Tokens, units: Mapping[str, int]) -> bool:
        """Whether it matters how much of e.g. the sound came from the cache, and this is not reported."""
        joint = f"cache_{kind}_read_tokens"
        part = units.get(f"input_{kind}_tokens", 0)
        open_ = joint in self.others and joint not in units
        return open_ and 0 < part < tokens.input and 0 < tokens.cache_read < tokens.input

    @property
    def by_row(self) -> bool:
        """Whether a call without further units costs more than its tokens, for example a fee per request."""
        return "requests" in self.others or "output_reasoning_tokens" in self.others


_ZERO = Decimal(0)
FREE = Rates(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO)


def tokens_of(usage: Usage) -> Tokens:
    """Count the parts, each limited to the whole, because some servers report more."""
    whole = usage.input_tokens or 0
    read = min(usage.cache_read_tokens or 0, whole)
    write = min(usage.cache_write_tokens or 0, whole - read)
    return Tokens(whole, usage.output_tokens or 0, read, write, min(usage.cache_write_1h_tokens or 0, write))


def units_of(usage: Usage, tokens: Tokens) -> dict[str, int]:
    """Count the other units of a call; parts are limited to the whole, and a call is at least one request."""
    units = {"requests": 1, "output_reasoning_tokens": usage.reasoning_tokens or 0, **usage.units}
    if units.keys() == ALWAYS:  # the common case
        units["output_reasoning_tokens"] = min(units["output_reasoning_tokens"], tokens.output)
        return units
    for side, whole in (("input", tokens.input), ("output", tokens.output)):
        left = whole
        for kind in (unit for unit, of in KINDS.items() if of == side):
            if units.get(kind):
                units[kind] = min(units[kind], left)
                # Reasoning overlaps with the other kinds.
                left -= 0 if kind == "output_reasoning_tokens" else units[kind]
    _fit_cache(units, tokens)
    return units


def _fit_cache(units: dict[str, int], tokens: Tokens) -> None:
    left, plain = tokens.cache_read, tokens.input
    for kind in MODALITIES:
        whole, joint = units.get(f"input_{kind}_tokens", 0), f"cache_{kind}_read_tokens"
        plain -= whole
        if joint in units:
            # Some servers report parts that exceed the whole; the whole is billed.
            units[joint] = min(units[joint], whole, left)
            left -= units[joint]
    for kind in MODALITIES:  # known to be other than text, and not counted yet
        whole, joint = units.get(f"input_{kind}_tokens", 0), f"cache_{kind}_read_tokens"
        if joint not in units and whole and left > plain:
            units[joint] = min(whole, left - plain)
            left -= units[joint]


def own(entry: Mapping[str, float]) -> Rates:
    """Read an entry of a price table; by default cached tokens cost the same as input."""
    # A float counts as it prints: Decimal(0.1) would have 55 digits.
    usd = {key: Decimal(repr(value)) for key, value in entry.items()}
    write = usd.get("cache_write", usd["input"])
    base = Rates(
        input=usd["input"],
        output=usd["output"],
        cache_read=usd.get("cache_read", usd["input"]),
        cache_write=write,
        cache_write_1h=usd.get("cache_write_1h", write),
    )
    listed = {unit: usd[name] for unit in KINDS if (name := unit.removesuffix("_tokens")) in usd}
    listed |= {unit: usd[unit] for unit in FEES if unit in usd}
    return base._replace(others=_surcharges(base, listed))


def of_price(price: ModelPrice) -> Rates:
    """Return a model's rates, computed by pricing a million tokens of each kind.

    In this way the library fills in missing prices: a cache without its own price
    costs as much as input.
    """
    million = int(MILLION)
    kinds = (
        Tokens(million, 0, 0, 0, 0),
        Tokens(0, million, 0, 0, 0),
        Tokens(million, 0, million, 0, 0),
        Tokens(million, 0, 0, million, 0),
        Tokens(million, 0, 0, million, million),
    )
    listed = {unit: usd for unit in (*KINDS, *FEES) if (usd := _listed(price, unit)) is not None}
    # The library adds the fee of one request to each price.
    request = listed.get("requests", Decimal(0)) / 1000
    usd = [price.calc_price(_usage(tokens))["total_price"] - request for tokens in kinds]
    base = Rates(usd[0], usd[1], usd[2], usd[3], usd[4])
    sides = ("input", "output")
    return base._replace(
        others=_surcharges(base, listed),
        unlisted=frozenset(side for side in sides if getattr(price, f"{side}_mtok") is None),
    )


def _listed(price: ModelPrice, unit: str) -> Any:
    name = f"{unit.removesuffix('_tokens')}_mtok" if unit in KINDS else f"{unit}_kcount"
    return getattr(price, name, None)


def _surcharges(base: Rates, listed: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    """Return the extra price per million units, on top of the tokens that include them."""
    others = {unit: usd * 1000 for unit, usd in listed.items() if unit in FEES}
    for unit, usd in listed.items():
        if unit in KINDS:
            others[unit] = usd - getattr(base, KINDS[unit])
    for kind in MODALITIES:
        above, joint = others.get(f"input_{kind}_tokens"), f"cache_{kind}_read_tokens"
        if above is None:
            continue
        # A cached audio token is both audio and cached. Without a price it costs as much as audio.
        usd = listed.get(joint, base.input + above)
        others[joint] = usd - base.cache_read - above
    return MappingProxyType(others)


def _usage(tokens: Tokens) -> PricedUsage:
    from genai_prices import Usage as PricedUsage

    return PricedUsage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """Token prices of a model, by the size of the prompt.

    Attributes:
        source: Where it was found; as in `prices.Price`.
        starts: Prompt sizes in tokens, ascending, above which other rates apply.
        rates: The rates up to the first size, then those above each size.
        exact: Whether these are the rates of the service tier, not the default ones.
    """

    source: str
    starts: tuple[int, ...]
    rates: tuple[Rates, ...]
    exact: bool = True

    def at(self, input_tokens: int) -> Rates:
        """Return the rates for a prompt of this size; above a threshold, its rates apply to all tokens."""
        return self.rates[bisect_left(self.starts, input_tokens)]

    def times(self, factor: Decimal) -> Listing:
        """Return the prices in a service tier with a factor."""
        return replace(self, rates=tuple(one.times(factor) for one in self.rates))

    def price(self, usage: Usage) -> tuple[Decimal, bool]:
        """Return the price in US dollars, and whether it covers everything used."""
        tokens = tokens_of(usage)
        each = self.at(tokens.input)
        free = self.source == "local"
        if not (usage.units or each.by_row or each.unlisted):  # the common case: tokens alone
            return each.cost(tokens), free or self.exact
        units = units_of(usage, tokens)
        return each.cost(tokens, units), free or (self.exact and each.cover(tokens, units))
