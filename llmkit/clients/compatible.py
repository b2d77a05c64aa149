"""Clients of the OpenAI-compatible servers in `catalog.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from llmkit.clients.credentials.access import wrapped
from llmkit.clients.openai import OpenAIClient

if TYPE_CHECKING:
    from llmkit.clients.credentials.access import Keys
    from llmkit.clients.engine.engine import Options
    from llmkit.providers.openai_chat import API


class CompatibleClient(OpenAIClient):
    """Client of an OpenAI-compatible server.

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
        api: API = "auto",
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # tracebacks show arguments
        super().__init__(api_key, base_url, client=client, provider_name=provider_name, api=api, **options)
