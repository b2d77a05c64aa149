"""What the chat's header needs to know of models: which there are, and how much each can read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llmkit.clients.credentials.keys import keys
from llmkit.clients.registry import provider_names
from llmkit.core import catalog, settings


def model_menu() -> list[dict[str, Any]]:
    """Return what can be asked, by provider: those that can be asked at once come first.

    A provider that lists no models can be asked for its default one.

    Example:
        >>> "sandbox:sandbox" in next(g["models"] for g in model_menu() if g["group"] == "sandbox")
        True
    """
    aliases = {**catalog.aliases(), **settings.load().aliases}
    groups = [_group(name) for name in provider_names() if name != "google-legacy"]
    ready = {group["group"] for group in groups if not group["lacks"]}
    short = [alias for alias, target in aliases.items() if target.partition(":")[0] in ready]
    named = [{"group": "aliases", "models": short, "lacks": ""}] if short else []
    return named + sorted(groups, key=lambda group: (bool(group["lacks"]), group["group"] == "sandbox"))


def _group(name: str) -> dict[str, Any]:
    known = catalog.providers().get(name)
    if known is None:  # registered here, or by another package
        return {"group": name, "models": [name], "lacks": ""}
    models = [f"{name}:{model}" for model in known.models] or [name]
    found = known.sandbox or (not known.local and keys.find(name) is not None)
    return {"group": name, "models": models, "lacks": "" if found else _lacks(known)}


def _lacks(provider: catalog.Provider) -> str:
    return "local server" if provider.local else "no key"


@lru_cache(maxsize=256)
def context_window(provider: str, model: str) -> int | None:
    """Return how many tokens a model can take in.

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
