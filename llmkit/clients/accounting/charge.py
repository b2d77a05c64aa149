"""Usage and charge of a call's attempts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from llmkit import prices
from llmkit.clients.accounting import bound_ratio
from llmkit.content import tokens
from llmkit.content.messages import Usage
from llmkit.core import settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.money import to_nanos
from llmkit.prices import worst_case
from llmkit.providers.formats import codec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from llmkit.content.messages import UsageSource
    from llmkit.content.usage_bound import UsageBound
    from llmkit.providers.codec import Answer, Codec, Request

logger = logging.getLogger("llmkit.clients.accounting")


@dataclass(slots=True, kw_only=True)  # not frozen: every call makes one
class Charge:
    """Usage and price of one or more attempts.

    Attributes:
        usage: The tokens; `None` if nothing is known to have been used.
        source: Source of the counts.
        price: The price; `None` if nothing was used or it is unknown.
        tier: The provider's service tier.
        at_most: Upper bound of the price in nano-dollars, if the price is an estimate of a
            partial answer; `None` if the price is final or there is no bound.
    """

    usage: Usage | None = None
    source: UsageSource | None = None
    price: prices.Price | None = None
    tier: str | None = None
    at_most: int | None = None

    @property
    def worst(self) -> int | None:
        """The maximum price in nano-dollars; `None` if unknown."""
        if self.usage is None:
            return 0
        return self.price.nanos if self.at_most is None and self.price is not None else self.at_most


def final(
    request: Request,
    provider: str,
    answer: Answer,
    when: datetime,
    *,
    parts: Sequence[str],
    accepted: bool,
    whole: bool,
) -> Charge:
    """Return the charge of an attempt; estimates replace counts that the provider did not report.

    A partial answer also has an upper bound, because hidden output is unknown.
    """
    usage, source = _usage(request, provider, answer, parts, accepted=accepted, whole=whole)
    if usage is None:
        return Charge()
    tier = _tier(request, answer, codec_of(provider))
    price = _price(request, provider, answer, usage, when, tier=tier)
    at_most = None if whole or source == "reported" else _bound(request, provider, answer, price, when)
    return Charge(usage=usage, source=_source(source, price), price=price, tier=tier, at_most=at_most)


def _bound(
    request: Request, provider: str, answer: Answer, price: prices.Price | None, when: datetime
) -> int | None:
    """Return the maximum cost of a partial answer, if it is more than its price."""
    from llmkit.clients.accounting.cost_bound import usage_bound  # only few calls need it

    try:
        most = usage_bound(request, provider)
        nanos = worst_case.nanos(provider, request.model, most, when)
    except ConfigurationError as error:  # as in `_price`
        logger.warning("Cannot bound the cost of the call: %s", error)
        return None
    said = answer.usage
    if said is not None and said.input_tokens is not None and answer.cost_usd is None:
        # The prompt was counted; only the output is unknown.
        counted = replace(said, output_tokens=max(most.output_tokens, said.output_tokens or 0))
        nanos = max(_nanos_by_tier(request, provider, answer, counted, most=most, when=when), default=nanos)
    if nanos is None:
        return None
    nanos = bound_ratio.grown(f"{provider}:{request.model}", nanos)
    return nanos if price is None or nanos > price.nanos else None


def _nanos_by_tier(
    request: Request, provider: str, answer: Answer, counted: Usage, *, most: UsageBound, when: datetime
) -> Iterator[int]:
    """Yield the maximum cost of these tokens, for each service tier that may have answered."""
    for tier in [answer.tier] if answer.tier else most.tiers:
        usage = worst_case.most_expensive(counted, provider, request.model, most, when=when, tier=tier)
        price = _price(request, provider, answer, usage, when, tier=tier)
        if price is not None:
            yield price.nanos


def total(charges: Iterable[Charge]) -> Charge:
    """Add up the charges of a call's attempts; if one price is unknown, so is the sum.

    Example:
        >>> first, second = Charge(usage=Usage(input_tokens=3)), Charge(usage=Usage(input_tokens=4))
        >>> total([first, second]).usage.input_tokens
        7
    """
    used = [charge for charge in charges if charge.usage is not None]
    if len(used) < 2:
        return used[0] if used else Charge()
    return Charge(
        usage=_sum([charge.usage for charge in used if charge.usage is not None]),
        source=_poorest([charge.source for charge in used]),
        price=_sum_of_prices(used),
        tier=used[-1].tier,
        at_most=_worst(used),
    )


def _sum_of_prices(charges: list[Charge]) -> prices.Price | None:
    """Return the price of several attempts; `None` if one of them is unknown."""
    known = [charge.price for charge in charges if charge.price is not None]
    if len(known) < len(charges):
        return None
    return replace(known[-1], nanos=sum(price.nanos for price in known))


def _worst(charges: list[Charge]) -> int | None:
    """Return the maximum cost of several attempts; `None` if it equals their price or is unknown."""
    each = [charge.worst for charge in charges]
    known = [nanos for nanos in each if nanos is not None]
    bounded = any(charge.at_most is not None for charge in charges) and len(known) == len(each)
    return sum(known) if bounded else None


def _poorest(sources: list[UsageSource | None]) -> UsageSource | None:
    """Return the source of the summed counts of several attempts, given in order."""
    whole = {"reported", "incomplete"}
    if all(source in whole for source in sources):
        return "incomplete" if "incomplete" in sources else "reported"
    return sources[-1] if all(source in whole for source in sources[:-1]) else "partial"


def _source(source: UsageSource | None, price: prices.Price | None) -> UsageSource | None:
    """Return the source of the counts; `"incomplete"` if they are complete but the price is not."""
    return "incomplete" if source == "reported" and price is not None and not price.exact else source


def _sum(usages: list[Usage]) -> Usage:
    def add(name: str) -> int | None:
        known = [count for usage in usages if (count := getattr(usage, name)) is not None]
        return sum(known) if known else None

    # A fee per request is due for each attempt; a usage without this unit is one request.
    units: dict[str, int] = {"requests": sum(usage.units.get("requests", 1) for usage in usages)}
    for unit, count in (item for usage in usages for item in usage.units.items() if item[0] != "requests"):
        units[unit] = units.get(unit, 0) + count
    counts = {field.name: add(field.name) for field in fields(Usage) if field.name != "units"}
    return Usage(**counts, units=units)


def _usage(
    request: Request, provider: str, answer: Answer, parts: Sequence[str], *, accepted: bool, whole: bool
) -> tuple[Usage | None, UsageSource | None]:
    said = answer.usage or Usage()
    # Before the end, the counts are only those so far.
    counted = said.input_tokens is not None and said.output_tokens is not None
    if counted and (whole or answer.ended):
        return said, "reported"
    # Providers do not charge for a request that they refused, or that never reached them.
    if not any((parts, accepted, answer.usage)):
        return None, None
    # Providers send at least one token per chunk, so there are at least as many tokens as chunks.
    written = max(tokens.estimate("".join(parts)), len(parts))
    prompt = said.input_tokens
    if prompt is None:
        prompt = tokens.estimate_prompt(request.messages, codec_of(provider).image_tokens, request.model)
    guess = replace(said, input_tokens=prompt, output_tokens=max(said.output_tokens or 0, written))
    return guess, "estimated" if said == Usage() else "partial"


def _tier(request: Request, answer: Answer, codec: type[Codec]) -> str | None:
    """Return the service tier of the answer; if it is not reported, the requested one."""
    if answer.tier or not (request.extra or request.tier):
        return answer.tier
    asked = (request.extra.get(name) for name in codec.tier_parameters)
    named = next((tier for tier in asked if isinstance(tier, str)), None)
    return named or codec.tiers.get(request.tier or "")


def _price(
    request: Request, provider: str, answer: Answer, usage: Usage, when: datetime, *, tier: str | None
) -> prices.Price | None:
    # What the server says that it charges is better than any price list.
    if answer.cost_usd is not None:
        date = when.date().isoformat()
        return prices.Price(nanos=to_nanos(answer.cost_usd), source=answer.cost_source, date=date)
    # The served model first: the requested name may be an alias without a price of its own.
    served, asked = answer.model, request.model
    names = (served, asked) if served and served != asked else (asked,)
    try:
        return prices.price(provider, names, usage, when=when, tier=tier, loaded=settings.recent())
    except ConfigurationError as error:  # the settings file was changed during the call
        logger.warning("Cannot price the call: %s", error)
        return None
