"""Calls that return a result instead of raising: `validate_api_key`, `safe_llm_call`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from llmkit.clients.credentials.access import wrapped
from llmkit.clients.credentials.keys import KeyStatus
from llmkit.clients.engine.engine import ProviderClient
from llmkit.clients.registry import client as make_client
from llmkit.core.errors import AuthenticationError, LLMClientError, ProviderNotAvailableError, RateLimitError

if TYPE_CHECKING:
    from llmkit.clients.base import BaseLLMClient
    from llmkit.content.messages import LLMMessage, LLMResponse

logger = logging.getLogger("llmkit.clients.checks")


async def validate_api_key(provider: str, api_key: str, **options: Any) -> KeyStatus:
    """Check whether a provider accepts a key, with a free call.

    Args:
        provider: Name of the provider.
        api_key: The key.
        **options: Further arguments of the client's class, such as `base_url`.

    Returns:
        `KeyStatus.VALID`, `INVALID` or `UNREACHABLE`; only the first one is true.

    Raises:
        ConfigurationError: If the provider is unknown.
    """
    # Tracebacks show arguments, so the plain key must not stay in one.
    options["api_key"], api_key = wrapped(api_key), ""
    client = make_client(provider, **options)
    async with client:
        assert isinstance(client, ProviderClient)
        health = await client.health_check()
    # Only a key that the provider knows has a rate limit.
    if health.ok or isinstance(health.error, RateLimitError):
        return KeyStatus.VALID
    return KeyStatus.INVALID if isinstance(health.error, AuthenticationError) else KeyStatus.UNREACHABLE


async def safe_llm_call(
    client: BaseLLMClient, messages: list[LLMMessage], **kwargs: Any
) -> LLMResponse | None:
    """Make a call that returns `None` instead of raising.

    Retries once after a rate limit.

    Args:
        client: Any client.
        messages: The conversation.
        **kwargs: As for `generate_text`.

    Returns:
        The response, or `None` on failure; the reason is logged.
    """
    try:
        return await client.safe_generate_text(messages, **kwargs)
    except ProviderNotAvailableError as error:
        logger.error("Provider not available: %s", error)  # noqa: TRY400 - the message is enough
    except LLMClientError as error:
        logger.error("The call failed: %s", error)  # noqa: TRY400
    return None
