"""Google's former SDK, `google-generativeai`: end of life, kept for notebooks that depend on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit import catalog, settings
from llmkit.clients.engine import ProviderClient
from llmkit.clients.google import ADDRESS, GoogleCodec
from llmkit.clients.keys import SANDBOX_KEY, keys, known_key, missing_key
from llmkit.sandbox import url as sandbox_url
from llmkit.wire.legacy import LegacyCarrier, load_sdk

if TYPE_CHECKING:
    from llmkit.clients.deadlines import Timeouts


class GoogleGenerativeAIClient(ProviderClient):
    """Client of Gemini through `google-generativeai`; prefer `GoogleAIClient`.

    Needs `pip install "llmkit[google-legacy]"`.

    Args:
        api_key: The key; by default as for `GoogleAIClient`.
        base_url: The API's address; by default as for `GoogleAIClient`.
        model: Model to use where a call names none.
        timeout: Seconds for a whole call, or all the deadlines.
        max_retries: Tries after the first one.
        client: Your own `google.generativeai.GenerativeModel`, in place of key, address and model.

    Raises:
        ConfigurationError: If the package is not installed, or a number makes no sense.

    Example:
        ```python
        client = GoogleGenerativeAIClient(model="gemini-2.5-flash")
        ```
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        model: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 2,
        client: Any = None,
    ) -> None:
        load_sdk()
        simulated = client is None and base_url is None and settings.load().sandbox
        if simulated:
            api_key, base_url = SANDBOX_KEY, sandbox_url("google")
        self._key = known_key(api_key)
        address = base_url or settings.base_url(catalog.providers()["google-legacy"]) or ADDRESS
        super().__init__(
            "google-legacy",
            codec=GoogleCodec(),
            carrier=LegacyCarrier(address, self._find_key, client),
            model=model,
            timeout=timeout,
            max_retries=max_retries,
            simulated=simulated,
        )

    def _find_key(self) -> str:
        key = self._key or keys.find("google-legacy")
        if key is None:
            raise missing_key("google-legacy")
        return key.reveal()
