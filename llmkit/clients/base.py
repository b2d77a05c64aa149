"""`BaseLLMClient`, the contract of all clients."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from llmkit.content import tokens
from llmkit.core.errors import LLMClientError, ProviderNotAvailableError, RateLimitError
from llmkit.providers.codec import TEMPERATURE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from types import TracebackType

    from llmkit.content.messages import LLMMessage, LLMResponse


class BaseLLMClient(ABC):
    """Abstract base class of all clients.

    A subclass with the three abstract methods works wherever llmkit accepts a client; its calls are
    recorded if they are made through the toolkit (`llmkit.client`, `%%llm`, `llmkit.batch`).

    Args:
        provider_name: Name of the provider, e.g. `"openai"`.

    Example:
        >>> class Echo(BaseLLMClient):
        ...     async def generate_text(self, messages, model=None, **kwargs):
        ...         from llmkit.content.messages import LLMResponse
        ...         return LLMResponse(messages[-1].content, self.provider_name, model or "echo")
        ...     async def stream_text(self, messages, model=None, **kwargs):
        ...         yield messages[-1].content
        ...     async def close(self):
        ...         pass
        >>> Echo("mine").provider_name
        'mine'
    """

    def __init__(self, provider_name: str) -> None:
        self.provider_name = provider_name
        self.logger = logging.getLogger(f"{__name__}.{provider_name}")

    @abstractmethod
    async def generate_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> LLMResponse:
        """Generate a complete answer.

        Args:
            messages: The conversation.
            model: The provider's model name; by default the client's model.
            temperature: Sampling temperature.
            max_tokens: Maximum length of the answer, in tokens.
            **kwargs: Further parameters of the provider.

        Returns:
            The response with its tokens and price.

        Raises:
            LLMClientError: If there is no complete answer; the subclass says why.
        """

    @abstractmethod
    def stream_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[str, None]:
        """Generate an answer and yield its text as it arrives.

        An implementation is an `async def` with `yield`, or returns an async generator. The answer's text is
        the concatenation of the chunks. The method must raise if the answer ends early, and must not store
        call state on `self`, because calls run concurrently.

        Args:
            messages: The conversation.
            model: The provider's model name; by default the client's model.
            temperature: Sampling temperature.
            max_tokens: Maximum length of the answer, in tokens.
            **kwargs: Further parameters of the provider.

        Returns:
            An async generator of text chunks.

        Raises:
            LLMClientError: While iterating, if the answer breaks off; `.partial` is the text so far.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. Further calls do nothing."""

    def _count_tokens_estimate(self, text: str) -> int:
        """Estimate the tokens of a text: one per four characters."""
        return tokens.estimate(text)

    def _count_tokens_accurate(self, text: str, model: str) -> int:
        """Count the tokens of a text as exactly as possible offline; see `llmkit.content.tokens.count`."""
        return tokens.count(text, model)

    def _estimate_cost(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        token_costs: Mapping[str, Mapping[str, float]],
    ) -> float:
        """Estimate a price in US dollars from a table of prices per 1,000 tokens."""
        if model not in token_costs:
            return 0.0
        costs = token_costs[model]
        return (input_tokens * costs["input"] + output_tokens * costs["output"]) / 1000

    async def safe_generate_text(self, messages: list[LLMMessage], **kwargs: Any) -> LLMResponse | None:
        """Generate an answer, with one retry after a rate limit.

        Args:
            messages: The conversation.
            **kwargs: As for `generate_text`.

        Returns:
            The answer, or `None` if the provider is not available.

        Raises:
            LLMClientError: If it fails for another reason.
        """
        try:
            return await self._generate_twice(messages, **kwargs)
        except ProviderNotAvailableError as error:
            self.logger.error("Provider not available: %s", error)  # noqa: TRY400 - the message is enough
            return None
        except LLMClientError:
            raise
        except Exception as error:  # by contract, every exception of a subclass becomes a client error
            self.logger.error("Unexpected error: %s", type(error).__name__)  # noqa: TRY400
            raise LLMClientError(f"Text generation failed: {error}") from error

    async def _generate_twice(self, messages: list[LLMMessage], **kwargs: Any) -> LLMResponse:
        try:
            return await self.generate_text(messages, **kwargs)
        except RateLimitError as error:
            # An exhausted quota is a rate-limit error, too, but waiting does not help.
            if not error.retryable:
                raise
            self.logger.warning("Rate limit exceeded: %s", error)
            await asyncio.sleep(1.0 if error.retry_after is None else min(error.retry_after, 60.0))
            return await self.generate_text(messages, **kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()
