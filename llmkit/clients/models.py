"""Which models there are, and which to take instead."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from llmkit.clients.engine.engine import ProviderClient
from llmkit.clients.registry import client as make_client
from llmkit.core import catalog
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)


class ModelManager:
    """Models by provider, with fallbacks.

    Args:
        available_models: Names by provider; by default the catalogue's.
        fallback_models: Model to take instead, by model; by default the catalogue's.

    Example:
        >>> manager = ModelManager({"openai": ["gpt-a", "gpt-b"]}, {"gpt-x": "gpt-b"})
        >>> manager.get_available_model("openai", "gpt-x")
        'gpt-b'
    """

    def __init__(
        self,
        available_models: Mapping[str, list[str]] | None = None,
        fallback_models: Mapping[str, str] | None = None,
    ) -> None:
        known = catalog.providers().values()
        listed = {p.name: list(p.models) for p in known if p.models}
        fallbacks = {model: other for p in known for model, other in p.fallbacks.items()}
        self.available_models = dict(listed if available_models is None else available_models)
        self.fallback_models = dict(fallbacks if fallback_models is None else fallback_models)

    def get_available_model(self, provider: str, requested_model: str) -> str:
        """Return the model that was asked for, its fallback, or the provider's first one.

        Args:
            provider: Name of the provider.
            requested_model: The model that is wanted.

        Raises:
            ConfigurationError: If no model of the provider is known.
        """
        available = self.available_models.get(provider, [])
        if requested_model in available:
            return requested_model
        if not available:
            raise ConfigurationError(
                f"No models of {provider!r} are known.", hint="Give them to ModelManager."
            )
        fallback = self.fallback_models.get(requested_model)
        chosen = fallback if fallback in available and fallback is not None else available[0]
        logger.warning("Model %s not available, using %s", requested_model, chosen)
        return chosen

    def fallbacks(self, provider: str, model: str) -> list[str]:
        """Return who stands in for a model, as a client's `fallback` wants it.

        Args:
            provider: Name of the provider.
            model: The model that is wanted.

        Returns:
            `provider:model` of its fallback, of that model's fallback, and so on.

        Example:
            >>> ModelManager({}, {"gpt-x": "gpt-b", "gpt-b": "gpt-a"}).fallbacks("openai", "gpt-x")
            ['openai:gpt-b', 'openai:gpt-a']
        """
        chain = [model]
        while (other := self.fallback_models.get(chain[-1])) is not None and other not in chain:
            chain.append(other)
        return [f"{provider}:{name}" for name in chain[1:]]

    async def validate_model(self, provider: str, model: str) -> bool:
        """Ask the provider whether it has a model: a call that costs nothing.

        Args:
            provider: Name of the provider.
            model: Name of the model.

        Returns:
            Whether it is in the provider's list.

        Raises:
            LLMClientError: If the list cannot be had.
        """
        client = make_client(provider)
        if not isinstance(client, ProviderClient):
            return model in self.available_models.get(provider, [])
        async with client:
            return model in await client.list_models()
