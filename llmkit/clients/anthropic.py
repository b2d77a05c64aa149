"""Anthropic's client. The wire format is in `llmkit.providers.anthropic`."""

from __future__ import annotations

from typing import Any, Unpack

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core.redaction import note
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.transport.sdk import SDKTransport


class AnthropicClient(ProviderClient):
    """Client of Anthropic.

    Args:
        api_key: The key, or several for rotation; by default from `%llm key`, then
            `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`.
        base_url: The base URL, without `/v1`; by default `ANTHROPIC_BASE_URL`, then Anthropic's.
        client: Your own `anthropic.AsyncAnthropic` (or its Bedrock, Vertex, … variants) instead of key and
            base URL; llmkit does not close it.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If a number is out of range.

    Example:
        ```python
        async with AnthropicClient(model="claude-haiku-5-5") as client:
            response = await client.generate_text([LLMMessage(role="user", content="Hello")])
        ```
    """

    def __init__(
        self,
        api_key: Keys = None,
        base_url: str | None = None,
        *,
        client: Any = None,
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # tracebacks show arguments
        access = Access("anthropic", AnthropicCodec, api_key=api_key, base_url=base_url, own=client)
        own = None if client is None else SDKTransport("anthropic", client, note)
        super().__init__("anthropic", **access.parts(AnthropicCodec(), own), **options)
