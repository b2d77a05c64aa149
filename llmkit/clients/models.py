"""`ModelManager`: available models and their fallbacks."""

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
        available_models: Model names by provider; by default the catalogue's.
        fallback_models: Fallback by model; by default the catalogue's.

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
        """Return the requested model, its fallback, or the provider's first one.

        Args:
            provider: Name of the provider.
            requested_model: The requested model.

        Raises:
            ConfigurationError: If the provider has no known models.
        """
        available = self.available_models.get(provider, [])
        if requested_model in available:
            return requested_model
        if not available:
            raise ConfigurationError(f"No known models for {provider!r}.", hint="Pass them to ModelManager.")
        fallback = self.fallback_models.get(requested_model)
        chosen = fallback if fallback in available and fallback is not None else available[0]
        logger.warning("Model %s not available, using %s", requested_model, chosen)
        return chosen

    def fallbacks(self, provider: str, model: str) -> list[str]:
        """Return the fallbacks of a model, as a client's `fallback` argument takes them.

        Args:
            provider: Name of the provider.
            model: The requested model.

        Returns:
            `provider:model` of its fallback, of that model's fallback, and so on.

        Example:
            >>> ModelManager({}, {"gpt-x": "gpt-b", "gpt-b": "gpt-a"}).fallbacks("openai", "gpt-x")
            ['openai:gpt-b', 'openai:gpt-a']
        """
        chain = [model]
        # Fallbacks may form a circle.
        while (other := self.fallback_models.get(chain[-1])) is not None and other not in chain:
            chain.append(other)
        return [f"{provider}:{name}" for name in chain[1:]]

    async def validate_model(self, provider: str, model: str) -> bool:
        """Check whether the provider has a model, with a free call.

        Args:
            provider: Name of the provider.
            model: Name of the model.

        Returns:
            Whether it is in the provider's list.

        Raises:
            LLMClientError: If the models cannot be listed.
        """
        client = make_client(provider)
        if not isinstance(client, ProviderClient):
            return model in self.available_models.get(provider, [])
        async with client:
            return model in await client.list_models()
