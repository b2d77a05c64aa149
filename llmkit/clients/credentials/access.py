"""The address and keys of a client's requests, from arguments or looked up, with rotation.

Values that are not arguments are looked up for every request: when the address changes, the key
changes too, and the new key must not go to the old server.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

from llmkit import __version__
from llmkit.clients.credentials import runtime_secrets
from llmkit.clients.credentials.keys import SANDBOX_KEY, APIKeyManager, keys, missing_key
from llmkit.clients.credentials.trust import is_trusted
from llmkit.core import addresses, catalog, environment, runtimes, settings
from llmkit.core.errors import (
    AuthenticationError,
    ConfigurationError,
    LLMClientError,
    PermissionDeniedError,
    RateLimitError,
)
from llmkit.core.redaction import Secret, note
from llmkit.providers.codec import NO_KEY
from llmkit.providers.error_mapping import WRONG_ADDRESS
from llmkit.sandbox import MOUNTS
from llmkit.sandbox import url as sandbox_url
from llmkit.transport.aiohttp import DirectTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.providers.codec import Codec
    from llmkit.sandbox.dialects.dialect import ProtocolName
    from llmkit.transport.base import OutgoingRequest, Transport

Keys: TypeAlias = str | Sequence[str | Secret] | APIKeyManager | None
"""Types of `api_key`: a key, several for rotation, a key manager, or none."""

ARGUMENT = ("an argument", "APIKeyManager")
"""Source of a key that was passed to this client."""

_COMMON = {"accept": "application/json", "user-agent": f"llmkit/{__version__}"}

_SANDBOX = Secret(SANDBOX_KEY, "the sandbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The current address of requests.

    Attributes:
        url: The API's base URL, normalized.
        source: The variable, file or argument that sets it.
        project: Whether only a project file sets it.
        simulated: Whether the sandbox answers.
    """

    url: str
    source: str
    project: bool = False
    simulated: bool = False


class Credentials:
    """The keys that one client may use.

    Example:
        >>> credentials = Credentials("openai", ["first-key", "second-key"])
        >>> credentials.advance(credentials.current()).source
        'an argument, number 2'
    """

    def __init__(self, provider: str, given: Keys = None, place: Callable[[], Place] | None = None) -> None:
        self._provider = provider
        hidden = wrapped(given)
        self._wrapped = hidden if isinstance(hidden, tuple) else ()
        self._manager = given if isinstance(given, APIKeyManager) else keys
        self._place = place
        self._turn = 0

    def current(self) -> Secret:
        """Return the key for the next request."""
        place = None if self._place is None else self._place()
        return self.key_for(place)

    async def obtain(self) -> Secret:
        """Return the key for the next request; read a hosted runtime's secrets if nothing else has one."""
        try:
            return self.current()
        except AuthenticationError:
            await runtime_secrets.ask(self._provider)
        return self.current()

    def key_for(self, place: Place | None) -> Secret:
        """Return the key for a request to an address; see `current`."""
        if place is not None and place.simulated:
            return _SANDBOX
        if self._wrapped:
            return self._wrapped[self._turn]
        if (found := self._manager.find(self._provider)) is not None:
            if place is not None and place.project:
                _check_trust(found, place)
            return found
        known = catalog.providers().get(self._provider)
        if known is None or known.local:
            return Secret(NO_KEY, "not needed by the server")
        raise missing_key(self._provider)

    def advance(self, used: Secret) -> Secret | None:
        """Switch to the next key, unless another call has done so already."""
        # Errors that the sandbox simulates must not switch real keys.
        if used is _SANDBOX:
            return None
        if not self._wrapped:
            return self._manager.advance(self._provider, used)
        if self._wrapped[self._turn] is used:
            self._turn = (self._turn + 1) % len(self._wrapped)
        now = self._wrapped[self._turn]
        return None if now is used else now


class Parts(TypedDict):
    """Arguments of a `ProviderClient`, which describes them."""

    codec: Codec
    transport: Transport
    credentials: Credentials | None
    simulated: Callable[[], bool]


class Access:
    """The address and credentials of a client."""

    def __init__(
        self, provider: str, codec: type[Codec], *, api_key: Keys, base_url: str | None, own: Any
    ) -> None:
        self._provider = provider
        self._codec = codec
        self._known = catalog.providers().get(provider)
        self._own = own
        self._given: Place | None = None
        self._seen: tuple[settings.Settings, tuple[str | None, ...], Place] | None = None
        # An empty address counts as none, as an empty environment variable does.
        if base_url is not None and base_url.strip(addresses.QUOTES):
            manner = addresses.Manner(protocol=codec.sandbox)
            if self._known is not None:
                manner = settings.manner(self._known)
            self._given = Place(url=addresses.normalize(base_url, "base_url", manner), source="an argument")
        self.credentials = Credentials(provider, api_key, self.place)
        if own is not None:
            note(own)

    def place(self) -> Place:
        """Return the address of the next request."""
        if self._given is not None:
            return self._given
        loaded, known = settings.load(), self._known
        if self._own is None and self._is_sandbox(loaded):
            return Place(url=self._sandbox(), source="the sandbox", simulated=True)
        values = () if known is None else tuple(map(os.environ.get, known.base_url_env))
        # Every request asks, and comparing these values is much cheaper than resolving them.
        if (seen := self._seen) is not None and seen[0] is loaded and seen[1] == values:
            return seen[2]
        place = self._found()
        self._seen = (loaded, values, place)
        return place

    def _found(self) -> Place:
        """Return the address that the environment, a settings file or the catalogue names."""
        found = None if self._known is None else settings.address(self._known)
        if found is None:
            variables = () if self._known is None else self._known.base_url_env
            named = f"Set {variables[0]} in the environment. " if variables else ""
            raise ConfigurationError(
                f"No address is known for {self._provider}.", hint=f"{named}Pass it as base_url."
            )
        return Place(url=found.url, source=found.source, project=found.project)

    def _sandbox(self) -> str:
        """Return the sandbox's address for this wire format."""
        if self._codec.sandbox not in MOUNTS:
            raise ConfigurationError(
                f"The sandbox does not speak the wire format of {self._provider}.",
                hint="Turn the sandbox off, or give the address of a server as base_url.",
            )
        return sandbox_url(cast("ProtocolName", self._codec.sandbox))

    def is_simulated(self) -> bool:
        """Whether the sandbox answers."""
        # Who names a server means that server, even while the sandbox is on.
        if self._own is not None or self._given is not None:
            return False
        return self._is_sandbox(settings.load())

    def _is_sandbox(self, loaded: settings.Settings) -> bool:
        return (self._known is not None and self._known.sandbox) or loaded.sandbox

    def parts(self, codec: Codec, own: Transport | None = None) -> Parts:
        """Return what a `ProviderClient` needs to call the provider, directly or through a transport."""
        return {
            "codec": codec,
            "transport": own or self._direct(codec),
            "credentials": None if self._own is not None else self.credentials,
            "simulated": self.is_simulated,
        }

    def _direct(self, codec: Codec) -> DirectTransport:
        """Return a transport that sends directly to the provider, with headers made here."""
        known = self._known
        names, custom = ((), "") if known is None else (tuple(known.header_env.items()), known.headers_env)

        def prepare() -> tuple[str, Callable[[OutgoingRequest], dict[str, str]]]:
            place = self.place()
            key = self.credentials.key_for(place)  # now, so that the key goes only to this address

            def headers(request: OutgoingRequest) -> dict[str, str]:
                own = _of_environment(place, names, custom)
                # The user's own headers come last, so that they win.
                return {**_COMMON, **codec.sign(key, request), **own}

            return place.url, headers

        return DirectTransport(lambda: self.place().url, prepare)


def _of_environment(place: Place, names: tuple[tuple[str, str], ...], custom: str) -> dict[str, str]:
    """Return the headers from environment variables; they are as confidential as keys.

    They are not sent to the sandbox or to an address that only a project sets.
    """
    if place.simulated or (place.project and not is_trusted(place.url)):
        return {}
    return _named_headers(names, custom, environment.stamp()) if names or custom else {}


@lru_cache(maxsize=16)
def _named_headers(names: tuple[tuple[str, str], ...], custom: str, _stamp: object) -> dict[str, str]:
    found = {header: value for header, name in names if (value := os.environ.get(name))}
    if custom and (lines := os.environ.get(custom)):
        found |= _custom(lines)
    return found


def blames_key(error: LLMClientError) -> bool:
    """Whether another key may work: this one is rejected, rate-limited or out of credit.

    Example:
        >>> blames_key(RateLimitError("slow down")), blames_key(LLMClientError("broken"))
        (True, False)
    """
    refused = isinstance(error, AuthenticationError) and not isinstance(error, PermissionDeniedError)
    return refused or isinstance(error, RateLimitError)


def blame_address(error: LLMClientError, address: str, otherwise: str = "") -> None:
    """Name the address in an error, as probably wrong, if the server did not know the path."""
    if error.hint == WRONG_ADDRESS:
        error.hint = (
            f"{otherwise}The address {address} may be wrong: check its path, such as a missing or doubled /v1"
            " (base_url=, or the provider's …_BASE_URL)."
        )


def _check_trust(key: Secret, place: Place) -> None:
    """Raise if a key would go to an address that only a project file sets."""
    # Code that passes a key to a client means that client's address.
    if key.source.startswith(ARGUMENT) or is_trusted(place.url):
        return
    url = addresses.take_apart(place.url)[0]
    raise ConfigurationError(
        f"The key from {key.source} was not sent: {place.source} sets {url}, which you have not trusted.",
        hint=f"To send your keys to that server, run {runtimes.command(f'trust {url}')};"
        " otherwise remove the setting.",
    )


def _custom(lines: str) -> dict[str, str]:
    """Parse headers as the SDKs do: `name: value` on each line."""
    pairs = (line.partition(":") for line in lines.split("\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon and name.strip()}


def wrapped(given: Keys) -> tuple[Secret, ...] | APIKeyManager | None:
    """Wrap the keys in an argument.

    Functions that take a key and may raise replace the argument with this, because tracebacks show arguments.

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
