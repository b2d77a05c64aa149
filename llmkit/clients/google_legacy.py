"""Client of Google's former SDK, `google-generativeai`, for notebooks that depend on it."""

from __future__ import annotations

from typing import Any, Unpack

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core.redaction import note
from llmkit.providers.google import GoogleCodec
from llmkit.transport.genai_legacy import LegacyTransport, configuration, load_sdk


class GoogleGenerativeAIClient(ProviderClient):
    """Client of Gemini through `google-generativeai`; prefer `GoogleAIClient`.

    Needs `pip install "jupyter-llmkit[google-legacy]"`.

    Args:
        api_key: The key, or several for rotation; by default as for `GoogleAIClient`.
        base_url: The base URL; by default as for `GoogleAIClient`.
        client: Your own `google.generativeai.GenerativeModel`, instead of key, base URL and model.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If the package is not installed, or a number is out of range.

    Example:
        ```python
        client = GoogleGenerativeAIClient(model="gemini-2.5-flash")
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
        # If the package is missing, this says so now rather than at the first call.
        load_sdk()
        # The key of the user's `configure()` must be redacted like all others.
        note(configuration() if client is not None else None)
        access = Access("google-legacy", GoogleCodec, api_key=api_key, base_url=base_url, own=client)
        sdk = LegacyTransport(
            lambda: access.place().url, lambda: access.credentials.current().reveal(), client
        )
        super().__init__("google-legacy", **access.parts(GoogleCodec(schemas=False), sdk), **options)
