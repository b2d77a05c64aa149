"""The key of a row's request: a hash of what is asked, not of how it is sent, nor of the row's place."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.clients.cassettes.request_key import canonical, canonical_message
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.codec import ContractTemperature
from llmkit.providers.formats import codec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.content.messages import LLMMessage
    from llmkit.providers.codec import Request

FORMAT = 1
"""Version of the key; another one would ask everything again."""

BYTES = 16
"""Length of a key: enough for no two requests of a lifetime to share one."""

_MANNER = frozenset({"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "stream_options"})
"""Parameters that providers document as labels or manners of sending: the answer is the same."""


class Keys:
    """Makes the keys of one job.

    Args:
        request: What all its requests share: the model and the parameters.
        provider: Name of the provider.
        place: The server; the sandbox is one of its own.
        identity: What else decides the answer: the verb's questions.
    """

    def __init__(self, request: Request, provider: str, place: str, identity: Any) -> None:
        common = [FORMAT, provider, place, _parameters(request, provider), identity]
        try:
            text = json.dumps(canonical(common), sort_keys=True, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequestError(f"Cannot encode the parameters as JSON: {error}.") from error
        self._common = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=BYTES)

    def of(self, messages: Iterable[LLMMessage], occurrence: int = 0) -> bytes:
        """Return the key of a row's messages.

        Args:
            messages: The messages.
            occurrence: How many equal requests come before it, where they are not one call.

        Returns:
            The key.
        """
        found = self._common.copy()
        found.update(_encoded([canonical_message(message) for message in messages]))
        if occurrence:
            found.update(b"#%d" % occurrence)
        return found.digest()


def _parameters(request: Request, provider: str) -> Mapping[str, Any]:
    """Return the parameters that decide the answer."""
    codec = codec_of(provider)
    manner = _MANNER | codec.tier_parameters | codec.limit_parameters
    # A default that nobody chose is not part of the request.
    chosen = not isinstance(request.temperature, ContractTemperature)
    schema = request.schema
    return {
        "model": request.model,
        "temperature": request.temperature if chosen else None,
        "extra": {name: value for name, value in request.extra.items() if name not in manner},
        "schema": None if schema is None else [schema.name, schema.json],
        "effort": request.effort,
    }


def _encoded(value: list[list[Any]]) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # halves of characters, which JSON can escape but UTF-8 cannot hold
        return json.dumps(value, separators=(",", ":")).encode()
