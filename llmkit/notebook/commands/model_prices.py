"""Prices of models per million tokens, for `%llm models`, completion and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit import prices
from llmkit.core import catalog
from llmkit.core.money import format_rate

if TYPE_CHECKING:
    from llmkit.clients.registry import ModelName
    from llmkit.prices.rates import Listing


def listing(name: str) -> Listing | None:
    """Look up the prices of a model."""
    provider, colon, model = name.partition(":")
    return prices.listing(provider, (model,)) if colon else prices.listing("", (name,))


def short(name: str) -> str:
    """Return a model's listed prices per million tokens, in and out; empty if they are unknown.

    Example:
        >>> short("sandbox:sandbox"), short("openai:no-such-model")
        ('free', '')
    """
    provider, _, model = name.partition(":")
    known = catalog.providers().get(provider)
    if known is not None and (known.local or known.sandbox):
        return "free"
    if not model or known is None or (found := listing(name)) is None:
        return ""
    return f"{format_rate(found.rates[0].input)}→{format_rate(found.rates[0].output)} /M"


def is_free(name: ModelName) -> bool:
    """Whether a model is free: the sandbox, and servers on the user's own machine."""
    known = catalog.providers().get(name.provider)
    return known is not None and (known.local or known.sandbox)


def full_name(name: ModelName) -> str:
    """Return a model's name with its provider, also if it is the provider's default model.

    Example:
        >>> from llmkit.core.naming import ModelName
        >>> full_name(ModelName("sandbox", None))
        'sandbox:sandbox'
    """
    known = catalog.providers().get(name.provider)
    model = name.model or (known.models[0] if known is not None and known.models else None)
    return name.provider if model is None else f"{name.provider}:{model}"


def charges(name: ModelName) -> str:
    """Return a sentence that names the new default model and its price."""
    full = full_name(name)
    found = listing(full)
    if found is None:
        return f"{full} is now the default and costs money: its price is unknown."
    into, out = map(format_rate, (found.rates[0].input, found.rates[0].output))
    return f"{full} is now the default and costs money: {into} in and {out} out per million tokens."
