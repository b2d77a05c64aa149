"""API keys: where they come from, and how they stay out of sight."""

from __future__ import annotations

import os
import re
import threading
import weakref
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit import catalog
from llmkit.errors import AuthenticationError, ConfigurationError, LLMClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "[redacted]"
SANDBOX_KEY = "no-key-for-the-sandbox"
"""What the SDKs send to the sandbox: they insist on a key."""

KEYRING = "llmkit"
"""Service under which keys are kept in the operating system's keyring."""

_KEY_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_*.-]{8,}|AIza[A-Za-z0-9_-]{20,}|AQ\.[A-Za-z0-9_-]{20,}"
    r"|(?:gsk|hf|r8)_[A-Za-z0-9]{16,}|(?:xai|pplx)-[A-Za-z0-9]{16,})"
    r"|(?i:(?<=bearer )[A-Za-z0-9._~+/=-]{8,})"
    r"|(?i:(?<=api-key\": \")|(?<=api-key': ')|(?<=api-key: ))[^\s\"',]{6,}"  # a header, as servers echo it
)
_seen: weakref.WeakSet[Secret] = weakref.WeakSet()


class Secret:
    """A key that does not show itself: not in a repr, a log, a traceback, a pickle.

    Args:
        value: The key.
        source: Where it came from, to show in its place.

    Example:
        >>> Secret("sk-123456789", "an argument")
        Secret('[redacted]', from an argument)
    """

    __slots__ = ("__weakref__", "_value", "source")

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source
        _seen.add(self)

    def reveal(self) -> str:
        """Return the key itself; only for the one who sends it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r}, from {self.source})"

    def __str__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> tuple[type[Secret], tuple[str, str]]:
        return Secret, ("", f"{self.source}; a key is never pickled")


class KeyStatus(StrEnum):
    """What `validate_api_key` found; true only for a valid key."""

    VALID = "valid"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"

    def __bool__(self) -> bool:
        return self is KeyStatus.VALID


class APIKeyManager:
    """The keys of each provider: several may take turns.

    Without keys of its own it finds them in the environment: `OPENAI_API_KEY`, then
    `OPENAI_API_KEY_1`, `OPENAI_API_KEY_2`, … and so for every provider.

    Args:
        keys: Keys by provider, in the order in which they are used.

    Example:
        >>> manager = APIKeyManager({"openai": ["first-key", "second-key"]})
        >>> manager.rotate_key("openai")
        >>> manager.get_key("openai")
        'second-key'
    """

    def __init__(self, keys: Mapping[str, list[str]] | None = None) -> None:
        self._keys = {
            provider: [Secret(value, "APIKeyManager") for value in values if value]
            for provider, values in (keys or {}).items()
        }
        self._current: dict[str, int] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"APIKeyManager({', '.join(f'{name}: {len(keys)}' for name, keys in self._keys.items())})"

    def find(self, provider: str) -> Secret | None:
        """Return the key in use, wrapped, or `None` if there is none.

        Args:
            provider: Name of the provider.
        """
        keys = self._keys.get(provider) or _from_environment(provider)
        if not keys:
            return _from_keyring(provider)
        return keys[self._current.get(provider, 0) % len(keys)]

    def get_key(self, provider: str) -> str:
        """Return the key in use.

        Args:
            provider: Name of the provider.

        Raises:
            AuthenticationError: If there is none.
        """
        key = self.find(provider)
        if key is None:
            raise missing_key(provider)
        return key.reveal()

    def rotate_key(self, provider: str) -> None:
        """Go on to the provider's next key; after the last one comes the first.

        Args:
            provider: Name of the provider.
        """
        with self._lock:
            self._current[provider] = self._current.get(provider, 0) + 1

    def set_key(self, provider: str, value: str) -> None:
        """Use this key for a provider until the process ends; it wins over the environment.

        Args:
            provider: Name of the provider.
            value: The key.

        Raises:
            ConfigurationError: If it is blank.
        """
        if not value.strip():
            raise ConfigurationError(f"The key for {provider} is blank.")
        with self._lock:
            self._keys[provider] = [Secret(value.strip(), "%llm key")]
            self._current[provider] = 0


def save_key(provider: str, value: str) -> None:
    """Keep a key in the operating system's keyring for later sessions.

    Args:
        provider: Name of the provider.
        value: The key.

    Raises:
        ConfigurationError: If there is no keyring.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        hint = 'pip install "llmkit[keyring]"'
        raise ConfigurationError("The package keyring is missing.", hint=hint) from error
    try:
        keyring.set_password(KEYRING, provider, value)
    except KeyringError as error:
        raise ConfigurationError(f"The keyring did not take the key: {error}.") from error
    _from_keyring.cache_clear()


keys = APIKeyManager()
"""The keys that clients use which were given none."""


def missing_key(provider: str) -> AuthenticationError:
    """Return the error for a provider without a key."""
    known = catalog.providers().get(provider)
    variable = known.key_env[0] if known and known.key_env else f"{provider.upper()}_API_KEY"
    return AuthenticationError(
        f"No {provider} key:",
        provider=provider,
        hint=f"%llm key {provider}, or set {variable}, or use -m sandbox.",
    )


def known_key(api_key: str | None, client: Any = None) -> Secret | None:
    """Wrap a key that was given, as an argument or inside the user's own SDK client.

    Args:
        api_key: The argument.
        client: The SDK client; its key is wrapped so that `redact` knows it.
    """
    if api_key is None and client is not None:
        api_key = getattr(client, "api_key", None)
        return Secret(api_key, "your SDK client") if isinstance(api_key, str) else None
    return None if api_key is None else Secret(api_key.strip(), "an argument")


def redact(text: str) -> str:
    """Blank out every key in a text: those in use, and what looks like one.

    Args:
        text: A provider's words, which may echo the key it was sent.

    Example:
        >>> redact("Incorrect API key provided: sk-abcdefgh1234.")
        'Incorrect API key provided: [redacted]'
    """
    for secret in tuple(_seen):
        value = secret.reveal()
        if len(value) >= 6 and value in text:
            text = text.replace(value, HIDDEN)
    return _KEY_SHAPES.sub(HIDDEN, text)


def redact_error(error: BaseException) -> None:
    """Blank out keys in an exception and in what caused it.

    Causes lose their traceback: frames of an HTTP library hold headers, and IPython can show variables.

    Args:
        error: Changed in place: its arguments, its message, its body.
    """
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if link is not error:
            link.__traceback__ = None
        link.args = tuple(_clean(value) for value in link.args)
        # Our own errors hold the model's text, which stays as it is.
        names = ("message", "request_id") if isinstance(link, LLMClientError) else tuple(vars(link))
        for name in names:
            value = getattr(link, name)
            if (clean := _clean(value)) != value:
                setattr(link, name, clean)
        links += [link.__cause__, link.__context__]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _from_environment(provider: str) -> list[Secret]:
    known = catalog.providers().get(provider)
    for name in known.key_env if known else ():
        numbered = [f"{name}_{n}" for n in range(1, 10)]
        found = [
            _secret(n, os.environ[n].strip()) for n in (name, *numbered) if os.environ.get(n, "").strip()
        ]
        if found:
            return found
    return []


@lru_cache(maxsize=64)
def _secret(name: str, value: str) -> Secret:
    """Keep a key of the environment, so that `redact` knows it as long as the process runs."""
    return Secret(value, name)


@lru_cache(maxsize=32)
def _from_keyring(provider: str) -> Secret | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        value = keyring.get_password(KEYRING, provider)
    except KeyringError:  # locked, or there is none on this machine
        return None
    return Secret(value, "the keyring") if value else None
