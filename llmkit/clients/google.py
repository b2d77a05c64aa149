"""Google's client. The wire format is in `llmkit.providers.google`."""

from __future__ import annotations

from typing import Any, Unpack

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core.redaction import note
from llmkit.providers.google import GoogleCodec
from llmkit.transport.genai import GenAITransport


class GoogleAIClient(ProviderClient):
    """Client of Google's Gemini API.

    The `google-genai` SDK has no public access to the raw response. Requests are therefore sent directly,
    with the key and address that the SDK would take from the environment. Your own `genai.Client` (with
    Vertex credentials, say) is used through its public methods.

    Args:
        api_key: The key, or several for rotation; by default from `%llm key`, then
            `GOOGLE_AI_API_KEY`, `GOOGLE_API_KEY`, `GEMINI_API_KEY`.
        base_url: The base URL, without version; by default `GOOGLE_GEMINI_BASE_URL`, then Google's.
        client: Your own `google.genai.Client` in place of key and base URL; llmkit does not close it.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If a number is out of range.

    Example:
        ```python
        async with GoogleAIClient(model="gemini-2.5-flash") as client:
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
        access = Access("google", GoogleCodec, api_key=api_key, base_url=base_url, own=client)
        own = None if client is None else GenAITransport(client, note)
        super().__init__("google", **access.parts(GoogleCodec(), own), **options)
