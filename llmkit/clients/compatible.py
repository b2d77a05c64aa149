"""Servers that speak OpenAI's Chat Completions API, by name: `catalog.toml` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from llmkit.clients.credentials.access import wrapped
from llmkit.clients.openai import OpenAIClient

if TYPE_CHECKING:
    from llmkit.clients.credentials.access import Keys
    from llmkit.clients.engine.engine import Options


class CompatibleClient(OpenAIClient):
    """Client of an OpenAI-compatible server.

    Args:
        provider_name: Its name, e.g. `"ollama"`; any other name goes with a `base_url`.
        api_key: The key, if the server wants one, or several that take turns.
        base_url: Its address; by default the catalogue's.
        client: Your own `openai.AsyncOpenAI`.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Example:
        ```python
        client = CompatibleClient("ollama", model="llama3.3")
        ```
    """

    def __init__(
        self,
        provider_name: str,
        api_key: Keys = None,
        base_url: str | None = None,
        *,
        client: Any = None,
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # a traceback shows arguments
        super().__init__(api_key, base_url, client=client, provider_name=provider_name, **options)
