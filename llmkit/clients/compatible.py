"""Servers that speak OpenAI's Chat Completions API, by name: `catalog.toml` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.clients.openai import OpenAIClient

if TYPE_CHECKING:
    from llmkit.clients.deadlines import Timeouts


class CompatibleClient(OpenAIClient):
    """Client of an OpenAI-compatible server.

    Args:
        provider_name: Its name, e.g. `"ollama"`; any other name goes with a `base_url`.
        api_key: The key, if the server wants one.
        base_url: Its address; by default the catalogue's.
        model: Model to use where a call names none.
        timeout: Seconds for a whole call, or all the deadlines.
        max_retries: Tries after the first one.
        client: Your own `openai.AsyncOpenAI`.

    Example:
        ```python
        client = CompatibleClient("ollama", model="llama3.3")
        ```
    """

    def __init__(
        self,
        provider_name: str,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        model: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 2,
        client: Any = None,
    ) -> None:
        super().__init__(
            api_key,
            base_url,
            model=model,
            timeout=timeout,
            max_retries=max_retries,
            client=client,
            provider_name=provider_name,
        )
