"""The models that a notebook offers: one list for completion, `%llm models` and the chat's menu."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.clients.credentials.keys import keys
from llmkit.core import catalog
from llmkit.core.errors import ConfigurationError
from llmkit.core.naming import aliases, provider_names

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class ListedModel(NamedTuple):
    """A model with its prices in US dollars per million tokens; `None` if they are unknown."""

    name: str
    aliases: list[str]
    input: float | None = None
    cached: float | None = None
    output: float | None = None
    source: str | None = None  # of the prices


def price_list(wanted: str = "") -> list[ListedModel]:
    """List the models with a text in their names: those of `model_groups`, and others with a price of yours.

    Example:
        >>> [one.output for one in price_list("sandbox:sandbox") if one.name == "sandbox:sandbox"]
        [4.0]
    """
    from llmkit.core import settings

    listed = [name for group in model_groups() for name in group.models]
    bare = {name.partition(":")[2] for name in listed}
    named = dict.fromkeys([*listed, *(name for name in settings.load().prices if name not in bare)])
    known = aliases()
    found = [_listed(name, known) for name in named if wanted.lower() in name.lower()]
    if not found:
        raise ConfigurationError(
            f"No listed model has {wanted!r} in its name.",
            hint="Models that are not listed work, too: write provider:model.",
        )
    return found


def _listed(name: str, known: Mapping[str, str]) -> ListedModel:
    from llmkit.notebook.commands.model_prices import listing

    short, found = [alias for alias, target in known.items() if target == name], listing(name)
    if found is None:
        return ListedModel(name, short)
    rates = found.rates[0]
    return ListedModel(
        name, short, float(rates.input), float(rates.cache_read), float(rates.output), found.source
    )


def prices_note() -> str:
    """Return the sentence on the prices of a list."""
    from llmkit import prices

    return (
        "Current prices in US dollars per million tokens, without surcharges for long prompts, from"
        f" {prices.genai_data.data_version()}; [tool.llmkit.prices] overrides them."
    )


def model_menu() -> list[dict[str, Any]]:
    """Return the chat's menu of models by provider; providers that lack nothing come first.

    Example:
        >>> "sandbox:sandbox" in next(g["models"] for g in model_menu() if g["group"] == "sandbox")
        True
    """
    groups = [
        {"group": name, "models": models, "lacks": lacks(name)}
        for name, models in model_groups()
        if models != [name] or name not in catalog.providers()  # which model of it would be asked?
    ]
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
