"""OpenAI's client. The wire format is in `llmkit.providers.openai_chat`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Unpack, get_args
from urllib.parse import urlsplit

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core import catalog
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import note
from llmkit.providers.formats import codec_class
from llmkit.providers.openai_chat import API, CompatibleCodec, OpenAICodec
from llmkit.transport.sdk import SDKTransport


class OpenAIClient(ProviderClient):
    """Client of OpenAI, or of any server that speaks its Chat Completions API.

    Args:
        api_key: The key, or several for rotation; by default from `%llm key`, then `OPENAI_API_KEY`.
        base_url: The base URL, with `/v1`; by default `OPENAI_BASE_URL`, then OpenAI's.
        client: Your own `openai.AsyncOpenAI` (or `AsyncAzureOpenAI`, …) instead of key and base URL;
            llmkit does not close it.
        provider_name: Name in the ledger; compatible servers have their own.
        api: `"responses"`, `"chat"` (Chat Completions), or `"auto"`: the Responses API at the address of a
            provider that has it, otherwise Chat Completions.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If a number is out of range, or `api` is something else.

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
        api: API = "auto",
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # tracebacks show arguments
        if api not in get_args(API):
            raise ConfigurationError(f"api must be 'auto', 'responses' or 'chat', got {api!r:.40}.")
        access = Access(provider_name, OpenAICodec, api_key=api_key, base_url=base_url, own=client)
        kind = _codec_class(provider_name)
        codec = kind(
            official=(lambda: "api.openai.com" in access.place().url) if client is None else True,
            api=api,
            provider=provider_name,
            at_home=lambda: _is_home(
                provider_name, access.place().url if client is None else str(client.base_url)
            ),
        )
        own = None if client is None else SDKTransport("openai", client, note)
        super().__init__(provider_name, **access.parts(codec, own), **options)


@lru_cache(maxsize=64)
def _is_home(provider: str, url: str) -> bool:
    """Whether an address is the provider's own."""
    known = catalog.providers().get(provider)
    home = urlsplit((known and known.base_url) or "").hostname
    return home is not None and urlsplit(url).hostname == home


def _codec_class(provider: str) -> type[OpenAICodec]:
    """Return the Chat Completions format of a provider, as the catalogue names it."""
    known = catalog.providers().get(provider)
    named = CompatibleCodec if known is None else codec_class(known)
    return named if issubclass(named, OpenAICodec) else CompatibleCodec
