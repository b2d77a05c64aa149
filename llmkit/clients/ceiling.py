"""What one request can cost at most, before it is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit import catalog, prices, tokens
from llmkit.clients.schema import instruction
from llmkit.messages import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from llmkit.clients.codec import Request

ANTHROPIC_MAX_TOKENS = 4096
"""Limit of an answer that Anthropic is sent where none is given: its API insists on one."""

PER_REQUEST = 32
"""Tokens that frame a prompt at most."""

PER_TOOLS = 1024
"""Tokens of the system prompt that a provider adds to a request with tools or a schema, at most (Anthropic
documents up to 804)."""

LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"})
"""Names of the limit of an answer in the providers' words."""

CHOICES = frozenset({"n", "candidate_count", "candidateCount"})
"""Names of the number of answers."""

TIERS = frozenset({"service_tier", "speed"})
"""Names of the service tier."""

NESTED = frozenset({"generation_config", "generationConfig", "extra_body"})
"""Parameters that hold further ones."""

REFUSED_LIMITS = (
    {"max_tokens", "max_completion_tokens"},
    {"maxOutputTokens"},
)
"""Parameters without which a codec has no way to send a limit."""


class Ceiling(NamedTuple):
    """The most that one request can use.

    Attributes:
        nanos: Its price in billionths of a US dollar; `None` if nobody knows the model's price.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of all answers, reasoning included.
    """

    nanos: int | None
    input_tokens: int
    output_tokens: int


def ceiling(request: Request, provider: str, *, when: datetime | None = None) -> Ceiling:
    """Return the most that one request can use.

    What a provider adds on its own, such as the findings of a search tool of its own, or what it charges
    per request, cannot be known before.

    Args:
        request: What is asked.
        provider: Name of the provider.
        when: When it is sent; by default now.

    Returns:
        The tokens and the price.

    Example:
        >>> from llmkit.clients.codec import Request
        >>> from llmkit.messages import LLMMessage
        >>> hello = (LLMMessage(role="user", content="Hello"),)
        >>> ceiling(Request(messages=hello, model="gpt-4o-mini", max_tokens=100), "openai")
        Ceiling(nanos=67650, input_tokens=51, output_tokens=100)
    """
    extra = json.dumps(dict(request.extra), default=str, ensure_ascii=False) if request.extra else ""
    before = tokens.upper_bound_prompt(request.messages, provider, request.model)
    before += tokens.upper_bound(extra) + PER_REQUEST
    if request.schema is not None:
        before += tokens.upper_bound(instruction(request.schema)) + PER_TOOLS
    if "tools" in extra:
        before += PER_TOOLS
    after = _output(request, provider) * max([1, *_numbers(request.extra, CHOICES)])
    return Ceiling(
        _nanos(request, provider, Usage(input_tokens=before, output_tokens=after), extra, when), before, after
    )


def _output(request: Request, provider: str) -> int:
    """Return the limit of one answer: what is sent, else the model's own."""
    sendable = not any(names <= request.without for names in REFUSED_LIMITS)
    given = [request.max_tokens] if request.max_tokens and sendable else []
    given += _numbers(request.extra, LIMITS - request.without)
    if given:
        return max(given)
    return ANTHROPIC_MAX_TOKENS if provider == "anthropic" else catalog.output_limit(request.model)


def _numbers(extra: Any, names: frozenset[str]) -> list[int]:
    """Return the values of parameters that are numbers, at the top and where parameters are nested."""
    return [int(value) for name, value in _parameters(extra) if name in names and _is_count(value)]


def _parameters(extra: Any) -> Iterator[tuple[str, Any]]:
    for name, value in extra.items():
        if name in NESTED and isinstance(value, dict):
            yield from _parameters(value)
        else:
            yield name, value


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _nanos(request: Request, provider: str, usage: Usage, extra: str, when: datetime | None) -> int | None:
    """Price the dearest way in which a provider may count the tokens."""
    known = [
        price.nanos
        for tier in tiers(request)
        for each in _ways(usage, provider, extra)
        if (price := prices.price(provider, (request.model,), each, when=when, tier=tier)) is not None
    ]
    return max(known, default=None)


def tiers(request: Request) -> set[str | None]:
    """Return the service tiers that may answer: the one that is asked for, or the usual one."""
    asked = (value for name, value in _parameters(request.extra) if name in TIERS)
    return {None, *(tier for tier in asked if isinstance(tier, str))}


def _ways(usage: Usage, provider: str, extra: str) -> list[Usage]:
    """Return how the prompt may be counted: a cache may take all of it, or have all of it.

    Anthropic's cache takes only what is marked; that of others works by itself.
    """
    whole, marked = usage.input_tokens, "cache_control" in extra
    ways = [usage, replace(usage, cache_read_tokens=whole)]
    if marked or provider != "anthropic":
        ways.append(replace(usage, cache_write_tokens=whole))
    if marked:
        ways.append(replace(usage, cache_write_tokens=whole, cache_write_1h_tokens=whole))
    return ways
