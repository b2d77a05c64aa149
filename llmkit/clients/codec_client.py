"""`CodecClient`: the client of a provider that consists of a codec and a table in the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from llmkit.clients.credentials.access import Access, Keys, wrapped
from llmkit.clients.engine.engine import Options, ProviderClient
from llmkit.core import catalog
from llmkit.core.errors import ConfigurationError
from llmkit.providers.formats import codec_class, note_codec

if TYPE_CHECKING:
    from llmkit.providers.codec import Codec


class CodecClient(ProviderClient):
    """Client of any provider whose wire format is a `Codec`.

    Args:
        provider_name: Name of the provider: that of its table in the catalogue, or a new one.
        api_key: The key, or several for rotation; by default as the catalogue's table says.
        base_url: The API's address; by default as the catalogue's table says.
        codec: The wire format; by default the one that the catalogue's table names.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If the catalogue has no such provider and no codec was given, or a number is out
            of range.

    Example:
        ```python
        class MyClient(CodecClient):
            def __init__(self, api_key=None, base_url="https://api.example.com", **options):
                super().__init__("mine", api_key, base_url, codec=MyCodec(), **options)

        llmkit.register("mine", MyClient)
        ```
    """

    def __init__(
        self,
        provider_name: str,
        api_key: Keys = None,
        base_url: str | None = None,
        *,
        codec: Codec | None = None,
        **options: Unpack[Options],
    ) -> None:
        api_key = wrapped(api_key)  # tracebacks show arguments
        codec = _declared(provider_name) if codec is None else codec
        # Prices and budgets look the format up by the provider's name.
        note_codec(provider_name, codec)
        access = Access(provider_name, type(codec), api_key=api_key, base_url=base_url, own=None)
        super().__init__(provider_name, **access.parts(codec), **options)


def _declared(provider: str) -> Codec:
    if (known := catalog.providers().get(provider)) is None:
        raise ConfigurationError(
            f"The catalogue has no provider {provider}.", hint="Give its wire format: codec=."
        )
    return codec_class(known)()
