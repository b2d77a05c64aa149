"""The models that a notebook offers: one list for completion, `%llm models` and the chat's menu."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from llmkit.clients.credentials.keys import keys
from llmkit.core import catalog
from llmkit.core.naming import aliases, provider_names


class Group(NamedTuple):
    """A provider and its models."""

    provider: str
    models: list[str]  # qualified names; the provider's own name if it lists none


def model_groups() -> list[Group]:
    """Return all providers with their models, except providers that another one supersedes."""
    known = catalog.providers()
    return [
        Group(
            name, [f"{name}:{model}" for model in known[name].models] or [name] if name in known else [name]
        )
        for name in provider_names()
        if name not in known or not known[name].superseded_by
    ]


def lacks(provider: str) -> str:
    """Return what a provider needs before it can be used: `no key`, `local server`, or nothing."""
    known = catalog.providers().get(provider)
    if known is None or known.sandbox:  # another package's client looks after its own key
        return ""
    if known.local:
        return "local server"
    return "no key" if known.key_env and keys.find(provider) is None else ""


def model_menu() -> list[dict[str, Any]]:
    """Return the chat's menu of models by provider; providers that lack nothing come first.

    Example:
        >>> "sandbox:sandbox" in next(g["models"] for g in model_menu() if g["group"] == "sandbox")
        True
    """
    groups = [{"group": name, "models": models, "lacks": lacks(name)} for name, models in model_groups()]
    ready = {group["group"] for group in groups if not group["lacks"]}
    short = [alias for alias, target in aliases().items() if target.partition(":")[0] in ready]
    named = [{"group": "aliases", "models": short, "lacks": ""}] if short else []
    return named + sorted(groups, key=lambda group: (bool(group["lacks"]), group["group"] == "sandbox"))


@lru_cache(maxsize=256)
def context_window(provider: str, model: str) -> int | None:
    """Return the size of a model's context window in tokens; `None` if it is unknown.

    Example:
        >>> context_window("openai", "gpt-4o-mini")
        128000
    """
    from genai_prices.data_snapshot import get_snapshot

    known = catalog.providers().get(provider)
    listing = provider if known is None else known.prices
    if listing is None:
        return None
    try:
        _, info = get_snapshot().find_provider_model(model, None, listing, None)
    except LookupError:
        return None
    return info.context_window
