"""`TOKEN_COSTS` and `LLM_CONFIG` of the specification, built from the catalogue and the environment."""

from __future__ import annotations

from typing import Any

from llmkit import prices
from llmkit.clients.credentials.keys import keys
from llmkit.content.messages import Usage
from llmkit.core import catalog, settings

THOUSAND = 1000


def token_costs() -> dict[str, dict[str, float]]:
    """Return prices by model in US dollars per 1,000 tokens, as used by `_estimate_cost`.

    Example:
        >>> token_costs()["gpt-4"]
        {'input': 0.03, 'output': 0.06}
    """
    table: dict[str, dict[str, float]] = {}
    for provider in catalog.providers().values():
        for model in provider.models:
            into = prices.price(provider.name, (model,), Usage(input_tokens=THOUSAND, output_tokens=0))
            out = prices.price(provider.name, (model,), Usage(input_tokens=0, output_tokens=THOUSAND))
            if into is not None and out is not None:
                table.setdefault(model, {"input": into.usd, "output": out.usd})
    return table


def llm_config() -> dict[str, Any]:
    """Return the current configuration: providers, defaults and costs.

    Example:
        >>> sorted(llm_config())
        ['costs', 'defaults', 'providers']
    """
    values = settings.load()
    providers = {
        name: {
            "api_key": keys.find(name),
            "base_url": settings.base_url(provider),
            "models": list(provider.models),
        }
        for name, provider in catalog.providers().items()
    }
    defaults = {
        "model": values.model,
        "temperature": 0.7 if values.temperature is None else values.temperature,
        "max_tokens": values.max_tokens,
        "timeout": values.timeout,
    }
    return {"providers": providers, "defaults": defaults, "costs": token_costs()}
