"""The highest price of what a request can use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.prices.rates import KINDS, US_INFERENCE

if TYPE_CHECKING:
    from datetime import datetime

    from llmkit.content.usage_bound import UsageBound

OUTPUT_KINDS = tuple(unit for unit, side in KINDS.items() if side == "output")


def nanos(provider: str, model: str, most: UsageBound, when: datetime | None = None) -> int | None:
    """Return the highest price among the ways in which a provider may count the tokens.

    Example:
        >>> from llmkit.content.usage_bound import UsageBound
        >>> nanos("openai", "gpt-4o-mini", UsageBound(51, 100))
        67650
        >>> nanos("openai", "no-such-model", UsageBound(51, 100)) is None
        True
    """
    whole = Usage(input_tokens=most.input_tokens, output_tokens=most.output_tokens)
    known = [
        price.nanos
        for tier in most.tiers
        for each in _ways(most_expensive(whole, provider, model, most, when=when, tier=tier), most)
        if (price := prices.price(provider, (model,), each, when=when, tier=tier)) is not None
    ]
    return max(known, default=None)


def most_expensive(
    usage: Usage, provider: str, model: str, most: UsageBound, *, when: datetime | None, tier: str | None
) -> Usage:
    """Return a usage with all tokens of the most expensive kind, plus other possible fees."""
    found = prices.listing(provider, (model,), when=when, tier=tier)
    others = {} if found is None else found.at(usage.input_tokens or 0).others
    units = dict(usage.units)
    sides = ((most.input_kinds, usage.input_tokens), (OUTPUT_KINDS, usage.output_tokens))
    for possible, total in sides:
        kinds = [unit for unit in possible if others.get(unit, 0) > 0]
        if kinds and total:
            units[max(kinds, key=lambda unit: others[unit])] = total
    units["web_searches"] = max(most.searches, units.get("web_searches", 0))
    if most.in_the_us:
        units[US_INFERENCE] = 1
    return replace(usage, units={unit: number for unit, number in units.items() if number})


def _ways(usage: Usage, most: UsageBound) -> list[Usage]:
    """Return the ways in which it may be counted: all of it may be read from or written to a cache."""
    whole = usage.input_tokens
    ways = [usage, replace(usage, cache_read_tokens=whole)]
    if most.cached:
        ways.append(replace(usage, cache_write_tokens=whole))
    if most.cached_1h:
        ways.append(replace(usage, cache_write_tokens=whole, cache_write_1h_tokens=whole))
    return ways
