"""Where a client's requests go, and with which keys: given as arguments, or found; several take turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit import catalog, settings
from llmkit.clients.keys import SANDBOX_KEY, APIKeyManager, keys, missing_key
from llmkit.clients.redaction import Secret
from llmkit.errors import AuthenticationError, LLMClientError, PermissionDeniedError, RateLimitError
from llmkit.sandbox import url as sandbox_url

if TYPE_CHECKING:
    from llmkit.sandbox.dialect import ProtocolName

Keys: TypeAlias = str | Sequence[str | Secret] | APIKeyManager | None
"""What a client takes as `api_key`: a key, several that take turns, a manager of keys, or none."""

NO_KEY = "none"
"""What is sent to a server that wants no key: the SDKs insist on one."""


class Credentials:
    """The keys that one client may use.

    Args:
        provider: Name of the provider.
        given: The client's argument; by default the keys of `llmkit.clients.keys.keys`.

    Example:
        >>> credentials = Credentials("openai", ["first-key", "second-key"])
        >>> credentials.advance(credentials.current()).source
        'an argument, number 2'
    """

    def __init__(self, provider: str, given: Keys = None) -> None:
        self._provider = provider
        hidden = wrapped(given)
        self._wrapped = hidden if isinstance(hidden, tuple) else ()
        self._manager = given if isinstance(given, APIKeyManager) else keys
        self._turn = 0

    def current(self) -> Secret:
        """Return the key for the next request.

        Raises:
            AuthenticationError: If there is none, and the provider wants one.
        """
        if self._wrapped:
            return self._wrapped[self._turn]
        if (found := self._manager.find(self._provider)) is not None:
            return found
        known = catalog.providers().get(self._provider)
        if known is None or known.local:
            return Secret(NO_KEY, "nowhere: the server wants none")
        raise missing_key(self._provider)

    def advance(self, used: Secret) -> Secret | None:
        """Go on to the next key, unless another call has done so already.

        Args:
            used: The key that was refused or is used up.

        Returns:
            The key that is in use now; `None` if there is no other.
        """
        if not self._wrapped:
            return self._manager.advance(self._provider, used)
        if self._wrapped[self._turn] is used:
            self._turn = (self._turn + 1) % len(self._wrapped)
        now = self._wrapped[self._turn]
        return None if now is used else now


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a client reaches its provider.

    Attributes:
        address: The API's base URL.
        credentials: The keys.
        simulated: Whether the sandbox answers.
    """

    address: str
    credentials: Credentials
    simulated: bool


def access(
    provider: str, protocol: ProtocolName, *, api_key: Keys, base_url: str | None, own: Any, default: str
) -> Access:
    """Find out where a client's requests go.

    Args:
        provider: Name of the provider.
        protocol: Wire format that the sandbox would speak in its place.
        api_key: The client's argument.
        base_url: The client's argument; by default from the environment, the settings, the catalogue.
        own: The user's own SDK client, if there is one; its key is noted so that `redact` knows it.
        default: The provider's own address.
    """
    known = catalog.providers().get(provider)
    if own is None and base_url is None and _in_sandbox(known):
        credentials = Credentials(provider, SANDBOX_KEY)
        return Access(address=sandbox_url(protocol), credentials=credentials, simulated=True)
    address = base_url or (settings.base_url(known) if known else None) or default
    if api_key is None and own is not None:
        api_key = _key_of(own)
    return Access(address=address, credentials=Credentials(provider, api_key), simulated=False)


def blames_key(error: LLMClientError) -> bool:
    """Whether another key may do better: this one is refused, limited or used up.

    Args:
        error: What came back.

    Example:
        >>> blames_key(RateLimitError("slow down")), blames_key(LLMClientError("broken"))
        (True, False)
    """
    refused = isinstance(error, AuthenticationError) and not isinstance(error, PermissionDeniedError)
    return refused or isinstance(error, RateLimitError)


def _in_sandbox(known: catalog.Provider | None) -> bool:
    return settings.load().sandbox or (known is not None and known.sandbox)


def _key_of(own: Any) -> str | None:
    key = getattr(own, "api_key", None)
    return key if isinstance(key, str) else None


def wrapped(given: Keys) -> tuple[Secret, ...] | APIKeyManager | None:
    """Wrap the keys of an argument.

    A function that takes a key and may fail puts this in the argument's place: a traceback shows arguments.

    Args:
        given: Keys as a client takes them, or wrapped already.

    Example:
        >>> wrapped("first-key")
        (Secret('[redacted]', from an argument),)
    """
    if given is None or isinstance(given, APIKeyManager):
        return given
    if isinstance(given, str):
        return (Secret(given.strip(), "an argument"),)
    return tuple(
        key if isinstance(key, Secret) else Secret(key.strip(), f"an argument, number {number}")
        for number, key in enumerate(given, start=1)
    )
