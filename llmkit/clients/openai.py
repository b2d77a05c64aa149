"""OpenAI's client. The wire format is in `llmkit.providers.openai_chat`."""

from __future__ import annotations

from typing import Any, Unpack

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core.redaction import note
from llmkit.providers.openai_chat import CompatibleCodec, OpenAICodec
from llmkit.transport.sdk import SDKTransport

_ORGANISATION = {"openai-organization": "OPENAI_ORG_ID", "openai-project": "OPENAI_PROJECT_ID"}
"""Headers that the official SDK sets, and their environment variables."""


class OpenAIClient(ProviderClient):
    """Client of OpenAI, or of any server that speaks its Chat Completions API.

    Args:
        api_key: The key, or several for rotation; by default from `%llm key`, then `OPENAI_API_KEY`.
        base_url: The base URL, with `/v1`; by default `OPENAI_BASE_URL`, then OpenAI's.
        client: Your own `openai.AsyncOpenAI` (or `AsyncAzureOpenAI`, …) instead of key and base URL;
            llmkit does not close it.
        provider_name: Name in the ledger; compatible servers have their own.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If a number is out of range.

    Example:
        ```python
        async with OpenAIClient() as client:
            response = await client.generate_text([LLMMessage(role="user", content="Hello")])
            print(response.content, response.cost_estimate)
        ```
    """

    def __init__(
        self,
        api_key: Keys = None,
        base_url: str | None = None,
        *,
        client: Any = None,
        provider_name: str = "openai",
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # tracebacks show arguments
        access = Access(provider_name, OpenAICodec, api_key=api_key, base_url=base_url, own=client)
        # Variables for OpenAI must not affect compatible servers.
        theirs = (_ORGANISATION, "OPENAI_CUSTOM_HEADERS") if provider_name == "openai" else ({}, "")
        kind = OpenAICodec if provider_name == "openai" else CompatibleCodec
        codec = kind(official=(lambda: "api.openai.com" in access.place().url) if client is None else True)
        super().__init__(
            provider_name,
            codec=codec,
            transport=access.direct(codec.sign, *theirs)
            if client is None
            else SDKTransport("openai", client, note),
            credentials=access.credentials if client is None else None,
            simulated=access.is_simulated,
            **options,
        )
