"""The model that a job asks, with the options of its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.clients.base import BaseLLMClient
from llmkit.clients.registry import recorded, shared_client
from llmkit.content.messages import LLMMessage
from llmkit.core import catalog, settings
from llmkit.core.errors import InvalidRequestError
from llmkit.frames.key import Keys

if TYPE_CHECKING:
    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.engine.recorded import RecordedClient
    from llmkit.frames.options import Options
    from llmkit.frames.question import Question

REASONING = {
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
"""Tokens for reasoning on top of the answer's, by effort."""


class AskedModel:
    """A client, its model, and the options of each call.

    Args:
        options: The options of the verb.
        question: What it asks.

    Raises:
        ConfigurationError: If there is no such model.
        InvalidRequestError: If a parameter is not possible.
    """

    def __init__(self, options: Options, question: Question) -> None:
        self.client = client_of(options)
        self.options: dict[str, Any] = dict(options.params)
        if question.schema is not None:
            self.options["schema"] = question.schema
        if options.mode == "flex":
            self.options["tier"] = self._tier()
        if options.mode == "batch":
            from llmkit.frames.batch_mode import check

            check(self.client, stored=options.store is not False)
        probe = [LLMMessage("user", "-")]
        asked = self.client.prepared(probe, **self.options)
        given = options.max_tokens or settings.load().max_tokens
        self.max_tokens = given or _limit(self.provider, asked.model, asked.effort, question.output)
        self.options["max_tokens"] = self.max_tokens
        self.request = self.client.prepared(probe, **self.options)
        if options.max_cost is not None and self.client.bound(probe, **self.options) is None:
            raise InvalidRequestError(
                f"max_cost needs the price of {self.name}, which is unknown.",
                hint="Add it to [tool.llmkit.prices], or leave max_cost out.",
            )
        self.keys = Keys(self.request, self.provider, self.client.place, question.identity)

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return self.client.provider_name

    @property
    def name(self) -> str:
        """The model as `provider:model`."""
        return f"{self.provider}:{self.request.model}"

    def _tier(self) -> str:
        from llmkit.providers.formats import codec_of

        if "flex" not in codec_of(self.provider).tiers:
            raise InvalidRequestError(
                f"{self.provider} has no flex tier.", hint="Leave mode out; OpenAI and Google have one."
            )
        return "flex"


def client_of(options: Options) -> ProviderClient | RecordedClient:
    """Return the client that the options name.

    Raises:
        ConfigurationError: If there is no such model.
    """
    model = options.model
    return recorded(model) if isinstance(model, BaseLLMClient) else shared_client(model)


def _limit(provider: str, model: str, effort: str | None, output: int) -> int:
    """Return the output limit of an answer, with room for reasoning."""
    known = catalog.providers().get(provider)
    reasons = known is not None and bool(known.effort_levels(model))
    # A model that reasons does so unasked, too.
    room = REASONING[effort or "medium"] if reasons else 0
    return min(output + room, catalog.output_limit(model))
