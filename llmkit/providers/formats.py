"""From a provider's name to its wire format, for those who have no client: bounds, estimates, dry runs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from llmkit.core import catalog
from llmkit.core.errors import ConfigurationError
from llmkit.providers.codec import Codec

if TYPE_CHECKING:
    from llmkit.core.catalog import Provider

_registered: dict[str, type[Codec]] = {}
"""Wire formats of providers that are not in the catalogue, noted when a client is made."""


def note_codec(provider: str, codec: Codec) -> None:
    """Remember the wire format of a provider that the catalogue does not list."""
    if provider not in catalog.providers():
        _registered[provider] = type(codec)


def codec_of(provider: str) -> type[Codec]:
    """Return a provider's wire format; the cautious defaults of `Codec` if it is unknown.

    Example:
        >>> codec_of("anthropic").output_limit, codec_of("nobody").output_limit
        (4096, None)
    """
    known = catalog.providers().get(provider)
    return (_registered.get(provider) or Codec) if known is None else codec_class(known)


def codec_class(provider: Provider) -> type[Codec]:
    """Return the wire format that the catalogue names for a provider."""
    return _imported(provider.name, provider.codec)


@cache
def _imported(provider: str, place: str) -> type[Codec]:
    found = catalog.load(provider, "codec", place)
    if not (isinstance(found, type) and issubclass(found, Codec)):
        raise ConfigurationError(
            f"The codec of {provider} must be a subclass of Codec, got {place!r}.",
            hint='In the catalogue, write codec = "module:Class".',
        )
    return found
